"""From a request's row and looked-up features to the row that a version sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from mainspring.features.spec import ViewSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.columnar import ColumnRows
from mainspring.serving.looked import Found, Looked, LookedRows
from mainspring.serving.ports import Row

Names = Sequence[tuple[ViewSpec, str]]
Seen = tuple[tuple[int, ...], ...]
_encode = msgspec.json.Encoder().encode


class Assembly:
    """Where each input of a version comes from: a column of the request, or a feature of one of its views."""

    def __init__(self, signature: Signature, columns: Sequence[Column], views: Sequence[ViewSpec]) -> None:
        places = {column.name: place for place, column in enumerate(columns)}
        start = len(columns)
        features: dict[str, tuple[int, int, int]] = {}  # place in a row with all features, view, place in the view
        for at, view in enumerate(views):
            for place, one in enumerate(view.features):
                features[f"{view.name}.{one.name}"] = (start + place, at, place)
            start += len(view.features)
        wanted: list[int] = []  # places in a request's columns with the features of every view behind them
        self._asked: list[tuple[int, int]] = []  # which input is which column of the request
        self._chosen = [_Chosen() for _ in views]
        for column in signature.inputs:
            feature = signature.features.get(column.name)
            if feature is not None and feature in features:
                place, at, inside = features[feature]
                self._chosen[at].add(len(wanted), inside, column)
                wanted.append(place)
            elif feature is None and column.name in places:
                self._asked.append((len(wanted), places[column.name]))
                wanted.append(places[column.name])
            else:
                raise InvalidInput("no request column and no view gives this input", field=column.name, value=feature)
        self._pick = _picker(wanted)
        self._many = len(wanted)

    def row(self, asked: Row, looked: Sequence[Looked]) -> Row:
        """Return the inputs of one row in the signature's order; ``looked`` is in the order of the views."""
        for seen in looked:
            asked += seen.values
        return self._pick(asked)

    def columns(self, asked: ColumnRows, looked: LookedRows) -> list[Any]:
        """Return the inputs of rows that are held as columns; ``looked`` is in the order of the views."""
        inputs: list[Any] = [None] * self._many
        for at, place in self._asked:
            inputs[at] = asked.columns[place]
        for chosen, found in zip(self._chosen, looked.views, strict=True):
            chosen.spread(found, inputs)
        return inputs


class _Chosen:
    """Which features of one view are which inputs of a version."""

    def __init__(self) -> None:
        self._inputs: list[int] = []
        self._floats: list[bool] = []
        self._places: list[int] = []
        self._pick: Callable[[Row], Row] = tuple

    def add(self, at: int, place: int, column: Column) -> None:
        """Take a feature by its place in the view for an input by its place in the signature."""
        self._inputs.append(at)
        self._floats.append(column.kind == "float")
        self._places.append(place)
        self._pick = _picker(self._places)

    def spread(self, found: Found, inputs: list[Any]) -> None:
        """Put the chosen features of every row among the inputs: floats as arrays, all else as it is."""
        if not self._inputs:
            return
        picked = [self._pick(seen.values) for seen in found.distinct]
        if all(self._floats):
            for at, column in zip(self._inputs, _spread(picked, found.which).T, strict=True):
                inputs[at] = column
            return
        for at, floats, values in zip(self._inputs, self._floats, zip(*picked, strict=True), strict=True):
            inputs[at] = _spread(values, found.which) if floats else [values[place] for place in found.which]


def _spread(values: Any, which: Sequence[int]) -> Any:
    """Return one of the distinct values (or rows of them) for each place; None becomes NaN."""
    return np.array(values, dtype=np.float64).take(np.array(which, dtype=np.intp), 0)


def _picker(places: Sequence[int]) -> Callable[[Row], Row]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: tuple([row[place] for place in places])


def features_json(views: Names, looked: Sequence[Sequence[Looked]]) -> bytes:
    """Return what is logged: a list with one object a row, ``{view: [[value, …], known_at_us, view digest]}``."""
    names = [(spec.name, digest) for spec, digest in views]
    return _encode([_told(names, row) for row in looked])


def distinct_json(views: Names, looked: LookedRows) -> tuple[bytes, Seen]:
    """Return the same of rows that share it: ``{view: [[[value, …], …], …]}``, and for each view the rows' places."""
    by_name = {spec.name: (found, digest) for (spec, digest), found in zip(views, looked.views, strict=True)}
    distinct = {
        name: [(seen.values, seen.known_us, digest) for seen in found.distinct]
        for name, (found, digest) in by_name.items()
    }
    return _encode(distinct), tuple([tuple(found.which) for found, _ in by_name.values()])


def _told(names: Sequence[tuple[str, str]], row: Sequence[Looked]) -> dict[str, Any]:
    return {name: (seen.values, seen.known_us, digest) for (name, digest), seen in zip(names, row, strict=True)}


def read_features(row: Mapping[str, Any], views: Sequence[ViewSpec]) -> list[Looked]:
    """Return logged features of one row, as ``features_json`` wrote them, in the order of ``views``."""
    return [Looked(tuple(row[view.name][0]), row[view.name][1]) for view in views]
