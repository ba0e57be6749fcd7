"""Where rows come from, as a project declares it. Plain values: nothing is read here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.features.spec import CsvReader, ParquetReader, PushReader, Reader, SqlReader
from mainspring.kernel.errors import nearest
from mainspring.kernel.schema import Column, Kind
from mainspring.project.collection import Declaration, Faulty, fault
from mainspring.project.given import (
    checked_name,
    names,
    optional_text,
    span_us,
    text,
)

_KINDS: tuple[Kind, ...] = ("int", "float", "bool", "str", "time")
_PASSWORD = re.compile(r"://[^/@:]*:(?!\$\{)[^/@]+@")


class Push:
    """Rows that only arrive by ``POST /sources/{name}``; made by ``push``."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns


class Source(metaclass=Declaration):
    """Name rows with two times: when something happened (``time``) and when it was known.

    ``data`` is a Parquet file or folder, a ``.csv`` file (both relative to the project), ``ms.sql(…)`` or
    ``ms.push(…)``. Give ``known_at`` (a column) or ``known_after`` (a span after ``time``). ``key`` names the columns
    that identify a row; without it a row is identified by its time and the keys of the views that read it. ``subject``
    is the column that says whose row it is; texts in ``pii`` are sealed with that subject's key.

    >>> import mainspring as ms
    >>> weather = ms.Source("weather", "data/weather.parquet", time="observed_at", known_after="30m", key="station")
    """

    broken: bool

    def __init__(
        self,
        name: str,
        data: str | Reader | Push,
        *,
        time: str,
        known_at: str | None = None,
        known_after: str | None = None,
        key: str | Sequence[str] = (),
        null_values: Sequence[str] | None = None,
        subject: str | None = None,
        pii: str | Sequence[str] = (),
    ) -> None:
        place = f"Source({name!r})"
        self.name = checked_name(place, name)
        self.columns = data.columns if isinstance(data, Push) else ()
        self.reader = _reader(place, data, null_values)
        self.time = text(f"{place}.time", time)
        self.known_at = optional_text(f"{place}.known_at", known_at)
        self.known_after_us = span_us(f"{place}.known_after", known_after)
        self.key = names(f"{place}.key", key)
        self.subject = optional_text(f"{place}.subject", subject)
        self.pii = names(f"{place}.pii", pii)
        if (known_at is None) == (known_after is None):
            fault(
                "says when a row was known either twice or not at all",
                field=place,
                remedy="give known_at='column' or known_after='30m' (known_after='0s' if it is known as it happens)",
            )


def sql(url: str, query: str, *, watermark: str) -> SqlReader:
    """Read a query again and again for rows at or above the greatest ``watermark`` seen.

    ``${NAME}`` in the URL is taken from the environment when the query runs, so that no secret is stored.

    >>> import mainspring as ms
    >>> ms.sql("postgresql://${DB}/ops", "select * from weather", watermark="observed_at").watermark
    'observed_at'
    """
    if _PASSWORD.search(text("sql.url", url)):
        remedy = "put it into an environment variable and write ${NAME} in its place"
        fault("holds a password, which would be stored", field="sql.url", remedy=remedy)
    return SqlReader(url=url, query=query, watermark=watermark)


def push(columns: Mapping[str, str]) -> Push:
    """Declare rows that arrive by ``POST /sources/{name}``; a kind with ``?`` may be missing.

    >>> import mainspring as ms
    >>> columns = {"user": "str", "at": "time", "price": "float?"}
    >>> clicks = ms.Source("clicks", ms.push(columns), time="at", known_after="0s")
    """
    declared = []
    for name, kind in columns.items():
        bare = kind.removesuffix("?")
        found = next((known for known in _KINDS if known == bare), None)
        if found is None:
            fault("is not a kind of column", field=f"push.{name}", value=kind, remedy=nearest(bare, _KINDS))
            continue
        declared.append(Column(name, found, kind.endswith("?")))
    return Push(tuple(declared))


def _reader(place: str, data: Any, null_values: Sequence[str] | None) -> Reader:
    if isinstance(data, Push):
        return PushReader()
    if isinstance(data, (SqlReader, PushReader, ParquetReader, CsvReader)):
        return data
    if isinstance(data, Faulty):
        return PushReader()
    if not isinstance(data, str) or not data:
        fault("must be a path, ms.sql(…) or ms.push(…)", field=f"{place}.data", value=data)
        return PushReader()
    suffix = data.rpartition("/")[2].rpartition(".")[2].lower() if "." in data.rpartition("/")[2] else ""
    if suffix == "csv":
        return CsvReader(data) if null_values is None else CsvReader(data, tuple(null_values))
    if suffix not in ("parquet", "pq", ""):
        remedy = "give .parquet, a folder or .csv"
        fault("is not a Parquet or CSV file", field=f"{place}.data", value=data, remedy=remedy)
    if null_values is not None:
        fault("only a CSV file has null_values", field=f"{place}.null_values", value=list(null_values))
    return ParquetReader(data)
