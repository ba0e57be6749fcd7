"""From a request's row and looked-up features to the row that a version sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from mainspring.features.ports import FeatureRow
from mainspring.features.spec import ViewSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.columnar import ColumnRows
from mainspring.serving.ports import Row

Looked = FeatureRow
"""The features of one view for one row, and when the newest row behind them was known."""

_encode = msgspec.json.Encoder().encode


class Assembly:
    """Where each input of a version comes from: a column of the request, or a feature of one of its views."""

    def __init__(self, signature: Signature, columns: Sequence[Column], views: Sequence[ViewSpec]) -> None:
        places = {column.name: place for place, column in enumerate(columns)}
        start = len(columns)
        features: dict[str, int] = {}
        for view in views:
            features |= {f"{view.name}.{one.name}": start + place for place, one in enumerate(view.features)}
            start += len(view.features)
        wanted: list[int] = []  # places in a request's columns with the features of every view behind them
        for column in signature.inputs:
            feature = signature.features.get(column.name)
            if feature is not None and feature in features:
                wanted.append(features[feature])
            elif feature is None and column.name in places:
                wanted.append(places[column.name])
            else:
                raise InvalidInput("no request column and no view gives this input", field=column.name, value=feature)
        self._wanted = wanted
        self._width = len(columns)
        self._pick = _picker(wanted)

    def row(self, asked: Row, looked: Sequence[Looked]) -> Row:
        """Return the inputs of one row in the signature's order; ``looked`` is in the order of the views."""
        for seen in looked:
            asked += seen.values
        return self._pick(asked)

    def columns(self, asked: ColumnRows, looked: Sequence[Sequence[Looked]]) -> list[Any]:
        """Return the inputs of rows that are held as columns; ``looked`` is what was looked up for each row."""
        features = _spread(looked) if looked[0] else []
        return [
            asked.columns[place] if place < self._width else features[place - self._width] for place in self._wanted
        ]


def _spread(looked: Sequence[Sequence[Looked]]) -> list[Any]:
    """Return the features as columns; rows that share what was looked up are counted out once."""
    columns: list[Any] = []
    for seen in zip(*looked, strict=True):
        _, first, inverse = np.unique(
            np.fromiter(map(id, seen), np.int64, len(seen)), return_index=True, return_inverse=True
        )
        distinct = [seen[place].values for place in first.tolist()]
        columns += [_repeated(values, inverse) for values in zip(*distinct, strict=True)]
    return columns


def _repeated(values: tuple[Any, ...], inverse: Any) -> Any:
    if any(isinstance(value, str) for value in values):
        return [values[at] for at in inverse.tolist()]
    return np.array(values, dtype=np.float64)[inverse]


def _picker(places: Sequence[int]) -> Callable[[Row], Row]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple([row[place] for place in places])


def features_json(views: Sequence[tuple[ViewSpec, str]], looked: Sequence[Sequence[Looked]]) -> bytes:
    """Return what is logged: a list with one object a row, ``{view: [[value, …], known_at_us, view digest]}``.

    Rows that share what was looked up, as a list with few keys does, are written once and repeated.
    """
    names = [(spec.name, digest) for spec, digest in views]
    if len(looked) == 1:
        return _encode([_told(names, looked[0])])
    written: dict[tuple[int, ...], bytes] = {}
    pieces = []
    for row in looked:
        same = tuple([id(seen) for seen in row])
        piece = written.get(same)
        if piece is None:
            piece = written[same] = _encode(_told(names, row))
        pieces.append(piece)
    return b"[" + b",".join(pieces) + b"]"


def _told(names: Sequence[tuple[str, str]], row: Sequence[Looked]) -> dict[str, Any]:
    return {name: (seen.values, seen.known_us, digest) for (name, digest), seen in zip(names, row, strict=True)}


def read_features(row: Mapping[str, Any], views: Sequence[ViewSpec]) -> list[Looked]:
    """Return logged features of one row, as ``features_json`` wrote them, in the order of ``views``."""
    return [Looked(tuple(row[view.name][0]), row[view.name][1]) for view in views]
