"""From a request's row and looked-up features to the row that a version sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.features.spec import ViewSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.ports import Row


class Looked(msgspec.Struct, frozen=True, gc=False):
    """The features of one view for one row, and when the newest row behind them was known."""

    values: tuple[Any, ...]
    known_us: int | None


class Assembly:
    """Where each input of a version comes from: a column of the request, or a feature of one of its views."""

    def __init__(self, signature: Signature, columns: Sequence[Column], views: Sequence[ViewSpec]) -> None:
        places = {column.name: place for place, column in enumerate(columns)}
        features = {
            f"{view.name}.{feature.name}": (v, f)
            for v, view in enumerate(views)
            for f, feature in enumerate(view.features)
        }
        self._sources: list[tuple[int, int]] = []  # (-1, column) or (view, feature)
        for column in signature.inputs:
            feature = signature.features.get(column.name)
            if feature is not None and feature in features:
                self._sources.append(features[feature])
            elif feature is None and column.name in places:
                self._sources.append((-1, places[column.name]))
            else:
                raise InvalidInput("no request column and no view gives this input", field=column.name, value=feature)

    def row(self, asked: Row, looked: Sequence[Looked]) -> Row:
        """Return the inputs of one row in the signature's order; ``looked`` is in the order of the views."""
        return tuple([asked[place] if view < 0 else looked[view].values[place] for view, place in self._sources])


def features_json(views: Sequence[tuple[ViewSpec, str]], looked: Sequence[Sequence[Looked]]) -> bytes:
    """Return what is logged: a list with one object a row, ``{view: [[value, …], known_at_us, view digest]}``."""
    rows = [
        {spec.name: (seen.values, seen.known_us, digest) for (spec, digest), seen in zip(views, row, strict=True)}
        for row in looked
    ]
    return msgspec.json.encode(rows)


def read_features(row: Mapping[str, Any], views: Sequence[ViewSpec]) -> list[Looked]:
    """Return logged features of one row, as ``features_json`` wrote them, in the order of ``views``."""
    return [Looked(tuple(row[view.name][0]), row[view.name][1]) for view in views]
