"""Rows pushed to a source: from JSON bodies to a typed frame with the moment at which each row was known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import polars as pl

from mainspring.kernel.clock import parse_time, to_us
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Kind
from mainspring.log.ports import SourceShape
from mainspring.log.records import SourceRows

KNOWN = "_known_us"
TIME = pl.Datetime("us", "UTC")
_rows = msgspec.json.Decoder(list[dict[str, Any]])

_TYPES: dict[Kind, tuple[pl.DataType, Callable[[Any], Any]]] = {
    "int": (pl.Int64(), int),
    "float": (pl.Float64(), float),
    "bool": (pl.Boolean(), bool),
    "str": (pl.String(), str),
    "time": (TIME, lambda value: to_us(parse_time(value))),
}


def frame_of(shape: SourceShape, records: Iterable[SourceRows]) -> pl.DataFrame:
    """Return the pushed rows with the source's columns and ``_known_us``; raises ``ValueError`` or ``InvalidInput``."""
    rows = [row for record in records for row in _rows.decode(record.body)]
    frame = pl.DataFrame([_series(column, rows) for column in shape.columns])
    return with_known(frame, shape)


def with_known(frame: pl.DataFrame, shape: SourceShape) -> pl.DataFrame:
    """Return the frame with ``_known_us``: its known-at column, or its time and the stated delay."""
    if shape.known_at is not None:
        known = pl.col(shape.known_at).dt.epoch("us")
    else:
        known = pl.col(shape.time).dt.epoch("us") + (shape.known_after_us or 0)
    return frame.with_columns(known.alias(KNOWN))


def plain_types(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a source's frame in the few types that parts hold, so that every part of a source joins every other."""
    if KNOWN not in frame.columns:
        raise InvalidInput("rows of a source need the moment they were known", field=KNOWN)
    return frame.cast({name: plain for name, dtype in frame.schema.items() if (plain := _plain(dtype)) != dtype})


def _plain(dtype: pl.DataType) -> pl.DataType:
    if dtype.is_integer():
        return pl.Int64()
    if dtype.is_float() or dtype.is_decimal():
        return pl.Float64()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.Datetime):
        return TIME
    return dtype


def _series(column: Column, rows: list[dict[str, Any]]) -> pl.Series:
    dtype, convert = _TYPES[column.kind]
    try:
        values = [None if (value := row.get(column.name)) is None else convert(value) for row in rows]
    except TypeError as error:
        raise InvalidInput("is of the wrong type", field=column.name) from error
    return pl.Series(column.name, values, pl.Int64() if dtype == TIME else dtype).cast(dtype)
