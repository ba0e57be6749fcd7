"""Reads a query with a watermark from a database that SQLAlchemy knows; PostgreSQL through psycopg."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import URL, Connection, column, create_engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mainspring.features.ports import Read
from mainspring.features.rows import KNOWN, timed
from mainspring.features.spec import SourceSpec, SqlReader
from mainspring.kernel.clock import from_us, to_us
from mainspring.kernel.errors import InvalidInput, Unavailable, nearest
from mainspring.kernel.schema import Column

_PLACE = "_place"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class SqlQueries:
    """Satisfies ``SourceReader``. Rows at the watermark are asked for again, because more of them may have come."""

    def read(
        self,
        spec: SourceSpec,
        project_root: Path,
        watermark: str | None = None,
        known_until_us: int | None = None,
        known_since_us: int | None = None,
    ) -> Read:
        if not isinstance(spec.reader, SqlReader):
            raise TypeError(spec.reader)
        rows = _ask(spec, spec.reader, _value(watermark))
        if spec.reader.watermark not in rows.columns:
            field = f"Source({spec.name!r}).watermark"
            remedy = nearest(spec.reader.watermark, rows.columns)
            raise InvalidInput("is not a column of the query", field=field, value=spec.reader.watermark, remedy=remedy)
        if known_until_us is None:
            return Read(rows, watermark)
        known = timed(_with_place(spec), rows.with_row_index(_PLACE))
        marks = rows.get_column(spec.reader.watermark).gather(known.get_column(_PLACE))  # as the database orders them
        waiting = marks.filter(known.get_column(KNOWN) > known_until_us)
        mark = waiting.min() if len(waiting) else marks.max()
        read = known.filter(pl.col(KNOWN) <= known_until_us).drop(_PLACE)
        return Read(read, watermark if mark is None else _text(mark))


def _with_place(spec: SourceSpec) -> SourceSpec:
    columns = (*spec.columns, Column(_PLACE, "int")) if spec.columns else ()
    return msgspec.structs.replace(spec, columns=columns)


def _ask(spec: SourceSpec, reader: SqlReader, above: Any) -> pl.DataFrame:
    """Run the query. What a driver says is shown only with every secret taken out."""
    url, secrets = _url(spec, reader)
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return _rows(connection, reader, above)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        what = f"the query cannot be run ({_without(secrets, said[0] if said else type(error).__name__)})"
    finally:
        engine.dispose()
    raise Unavailable(what, field=f"Source({spec.name!r})", remedy="check the database, the query and its rights")


def _rows(connection: Connection, reader: SqlReader, above: Any) -> pl.DataFrame:
    asked = text(reader.query.strip().rstrip(";")).columns().subquery("asked")
    query = select(text("*")).select_from(asked)
    if above is not None:
        query = query.where(column(reader.watermark) >= above)
    found = connection.execute(query)
    names = list(found.keys())
    values: list[Sequence[Any]] = list(zip(*found.fetchall(), strict=True)) or [()] * len(names)
    return pl.DataFrame([_series(name, column) for name, column in zip(names, values, strict=True)])


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    plain: list[Any] = [float(value) if isinstance(value, Decimal) else value for value in values]
    if any(isinstance(value, datetime) and value.tzinfo is not None for value in plain):
        return pl.Series(name, [None if v is None else v.astimezone(UTC) for v in plain], pl.Datetime("us", "UTC"))
    plain = [value.isoformat() if type(value) is date else value for value in plain]
    return pl.Series(name, plain, strict=False)


def _url(spec: SourceSpec, reader: SqlReader) -> tuple[URL, list[str]]:
    """Return the address with what the environment holds for ``${NAME}``, and what of it must not be shown."""
    field = f"Source({spec.name!r}).url"
    secrets: list[str] = []

    def filled(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise InvalidInput("is not in the environment", field=field, value=match[0], remedy=f"set {match[1]}")
        secrets.append(value)
        return value

    try:
        url = make_url(_VARIABLE.sub(filled, reader.url))
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect()
        if "@" in (url.host or ""):  # what follows an @ in a password: a driver would print it as a host
            remedy = "write %40 for @ in user and password"
            raise InvalidInput("holds more than one @", field=field, remedy=remedy)
    except (ArgumentError, NoSuchModuleError, ValueError):
        remedy = "write it like postgresql://user:${PASSWORD}@host/database"
        raise InvalidInput("is not the address of a database", field=field, remedy=remedy) from None
    return url, [*secrets, *([str(url.password)] if url.password else [])]


def _without(secrets: Sequence[str], said: str) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        said = said.replace(secret, "***")
    return said


def _text(mark: Any) -> str:
    """Return a watermark as it is stored: JSON, with times as microseconds."""
    return msgspec.json.encode({"us": to_us(mark)} if isinstance(mark, datetime) else {"is": mark}).decode()


def _value(watermark: str | None) -> Any:
    if watermark is None:
        return None
    stored = msgspec.json.decode(watermark)
    return from_us(stored["us"]) if "us" in stored else stored["is"]
