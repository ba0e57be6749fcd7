"""Rows of a source as every process computes with them: declared kinds, and both times in microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from mainspring.features.spec import SourceSpec
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.schema import Column, Kind

TIME = "_time_us"
KNOWN = "_known_us"

DTYPES: dict[Kind, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "str": pl.String(),
    "time": pl.Datetime("us", "UTC"),
}
_EXAMPLE = "write it like 2013-05-03T12:00Z"
_ZONE = r"(?:[zZ]|[+-]\d{2}:?\d{2})$"


def timed(spec: SourceSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the source's columns in their declared kinds, and when each happened and was known.

    A row without a time or a known-at is not known yet and is left out. NaN is read as a missing value. Rows that are
    timed already are returned as they are.
    """
    columns = _columns(spec, rows)
    if rows.columns == [*(column.name for column in columns), TIME, KNOWN]:
        return rows
    schema = rows.schema
    as_declared = all(schema.get(column.name) == DTYPES[column.kind] for column in columns)
    typed = rows.select(_plain(column) if as_declared else _typed(column, rows) for column in columns)
    happened = pl.col(spec.time).dt.epoch("us")
    known = happened + (spec.known_after_us or 0) if spec.known_at is None else pl.col(spec.known_at).dt.epoch("us")
    complete = typed.lazy().with_columns(happened.alias(TIME), known.alias(KNOWN))
    return complete.filter(pl.col(TIME).is_not_null() & pl.col(KNOWN).is_not_null()).collect()


def newest(spec: SourceSpec, rows: pl.DataFrame, known_until_us: int | None = None) -> pl.DataFrame:
    """Return each row of the source once: its newest revision known by then."""
    known = rows if known_until_us is None else rows.filter(pl.col(KNOWN) <= known_until_us)
    if known.n_unique(subset=spec.key) == known.height:
        return known
    others = [name for name in known.columns if name != KNOWN]
    return known.sort([KNOWN, *others]).unique(subset=spec.key, keep="last", maintain_order=True)


def distinct(spec: SourceSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return each revision of each row once: a later row with the same key and known-at is the same row."""
    return rows.unique(subset=[*spec.key, KNOWN], keep="first", maintain_order=True)


def kind_of(dtype: pl.DataType) -> Kind | None:
    """Return the kind of a Polars type; None for types that no column of a source may have."""
    if dtype.is_integer():
        return "int"
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return "float"
    if isinstance(dtype, pl.Boolean):
        return "bool"
    if isinstance(dtype, pl.Datetime):
        return "time"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Date | pl.Null):
        return "str"
    return None


def as_times(values: pl.Series, field: str) -> pl.Series:
    """Return ISO 8601 texts or zoned datetimes as UTC; a time without a zone is refused."""
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_zone is None:
            raise _without_zone(field, values.drop_nulls().head(1).to_list())
        if values.dtype == DTYPES["time"]:
            return values
        return values.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if values.null_count() == len(values):
        return values.cast(DTYPES["time"])
    if values.dtype != pl.String:
        raise InvalidInput("is not a time", field=field, value=str(values.dtype), remedy=_EXAMPLE)
    bare = values.filter(~values.str.contains(_ZONE).fill_null(True))
    if len(bare) and bare.head(1).str.contains(r"^\s*\d{4}-").all():
        raise _without_zone(field, bare.head(1).to_list())
    if len(bare):
        raise InvalidInput("is not an ISO 8601 time", field=field, value=bare[0], remedy=_EXAMPLE)
    times = values.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    wrong = values.filter(times.is_null() & values.is_not_null())
    if len(wrong):
        raise InvalidInput("is not an ISO 8601 time", field=field, value=wrong[0], remedy=_EXAMPLE)
    return times


def _columns(spec: SourceSpec, rows: pl.DataFrame) -> Sequence[Column]:
    if spec.columns:
        return spec.columns
    found = [(name, kind_of(dtype)) for name, dtype in rows.schema.items() if name not in (TIME, KNOWN)]
    times = {spec.time, spec.known_at}
    return [Column(name, "time" if name in times else kind, True) for name, kind in found if kind is not None]


def _plain(column: Column) -> pl.Expr:
    return pl.col(column.name).fill_nan(None) if column.kind == "float" else pl.col(column.name)


def _typed(column: Column, rows: pl.DataFrame) -> pl.Series:
    if column.name not in rows.columns:
        raise missing_column(column.name, rows.columns)
    values = rows.get_column(column.name)
    if column.kind == "time":
        return as_times(values, column.name)
    wanted = DTYPES[column.kind]
    if values.dtype != wanted:
        try:
            values = values.cast(wanted)
        except pl.exceptions.PolarsError:
            raise InvalidInput(
                f"holds values that are not of kind {column.kind}", field=column.name, value=str(values.dtype)
            ) from None
    return values.fill_nan(None) if column.kind == "float" else values


def missing_column(name: str, known: Iterable[str]) -> InvalidInput:
    """Return the error for a column that the rows do not have."""
    return InvalidInput("is not a column of the source", field=name, remedy=nearest(name, known))


def _without_zone(field: str, example: Sequence[object]) -> InvalidInput:
    return InvalidInput(
        "holds times without a zone",
        field=field,
        value=str(example[0]) if example else None,
        remedy="append Z for UTC, or localise the column before it is read",
    )
