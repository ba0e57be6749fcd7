"""The inputs of logged rows for a version that never saw them: what was asked, and features as they were known then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from mainspring.features.join import BoundView, as_of_join
from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.assemble import Assembly
from mainspring.serving.decode import RowDecoder
from mainspring.serving.looked import Looked
from mainspring.serving.ports import Row

AT = "_at_us"


def inputs(
    bodies: Sequence[str | None],
    at_us: Sequence[int],
    signature: Signature,
    columns: Sequence[Column],
    views: Sequence[BoundView],
) -> list[Row | None]:
    """Return what the version would have seen of each row; None where the request cannot be read any more."""
    asked = _read(bodies, RowDecoder(columns))
    there = [place for place, row in enumerate(asked) if row is not None]
    looked: list[list[Looked]] = [[] for _ in there]
    if views and there:
        raw = [{**msgspec.json.decode(bodies[place] or "{}"), AT: at_us[place]} for place in there]
        looked = _looked(as_of_join(pl.DataFrame(raw, infer_schema_length=None), AT, views), views)
    assembly = Assembly(signature, columns, [view.spec for view in views])
    found: list[Row | None] = [None] * len(asked)
    for place, seen in zip(there, looked, strict=True):
        row = asked[place]
        found[place] = None if row is None else assembly.row(row, seen)
    return found


def _read(bodies: Sequence[str | None], decoder: RowDecoder) -> list[Row | None]:
    return [_one(body, decoder) for body in bodies]


def _one(body: str | None, decoder: RowDecoder) -> Row | None:
    if not body:
        return None
    try:
        return decoder.decode(body.encode())[0][0]
    except MainspringError:
        return None


def _looked(joined: pl.DataFrame, views: Sequence[BoundView]) -> list[list[Looked]]:
    columns: list[Any] = []
    for view in views:
        names = [f"{view.spec.name}.{feature.name}" for feature in view.spec.features]
        columns.append(zip(*(joined[name].to_list() for name in names), strict=True))
    return [[Looked(values, None) for values in row] for row in zip(*columns, strict=True)]
