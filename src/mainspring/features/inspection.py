"""Is a source what its declaration says? Told from its rows, all faults at once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import polars as pl

from mainspring.features.rows import KNOWN, as_times, kind_of, missing_column, timed
from mainspring.features.spec import CsvReader, PushReader, SourceSpec, SqlReader
from mainspring.kernel.errors import InvalidInput, InvalidProject, MainspringError, nearest
from mainspring.kernel.schema import Column


def inspected(spec: SourceSpec, rows: pl.DataFrame | None) -> SourceSpec:
    """Return the source with the columns found in ``rows`` (None: nothing to look at); raises every fault at once."""
    faults = declared_faults(spec)
    if rows is not None:
        faults.extend(_missing(spec, rows.columns))
        if isinstance(spec.reader, CsvReader) and rows.is_empty() and not faults:
            remedy = "add some rows: they tell the kinds of the columns"
            faults.append(InvalidInput("holds no rows", field=f"Source({spec.name!r})", remedy=remedy))
        if not faults:
            spec = msgspec.structs.replace(spec, columns=tuple(_columns(spec, rows, faults)))
        if not faults:
            faults.extend(_rows(spec, rows))
    faults.extend(_sealable(spec))
    if faults:
        raise InvalidProject(faults)
    return spec


def declared_faults(spec: SourceSpec) -> list[MainspringError]:
    """Return what is wrong with a declaration before any row is looked at."""
    return list(_declared(spec))


def _declared(spec: SourceSpec) -> Iterator[MainspringError]:
    place = f"Source({spec.name!r})"
    if not spec.key:
        yield InvalidInput("needs a key", field=f"{place}.key", remedy="name the columns that identify a row")
    if spec.known_at is None and spec.known_after_us is None:
        yield InvalidInput("does not say when its rows are known", field=place, remedy="give known_at or known_after")
    if spec.known_after_us is not None and spec.known_after_us < 0:
        yield InvalidInput("must not be negative", field=f"{place}.known_after", value=spec.known_after_us)
    if isinstance(spec.reader, SqlReader) and spec.reader.password():
        remedy = "take it from the environment: postgresql://user:${NAME}@host/database"
        yield InvalidInput("holds a password, and what is declared is stored", field=f"{place}.url", remedy=remedy)
    if isinstance(spec.reader, PushReader):
        if not spec.columns:
            remedy = "name them with their kinds, such as columns={'id': 'str', 'at': 'time'}"
            yield InvalidInput("a pushed source needs its columns", field=f"{place}.columns", remedy=remedy)
        else:
            yield from _missing(spec, [column.name for column in spec.columns])


def _sealable(spec: SourceSpec) -> Iterator[MainspringError]:
    for column in spec.columns:
        if column.name in spec.pii and column.kind != "str":
            remedy = "leave it out: rows of an erased subject are removed all the same"
            place = f"Source({spec.name!r}).pii"
            yield InvalidInput("is not a text; only texts are sealed", field=place, value=column.name, remedy=remedy)


def _missing(spec: SourceSpec, known: list[str]) -> Iterator[MainspringError]:
    named = {
        "time": (spec.time,),
        "known_at": (spec.known_at,) if spec.known_at else (),
        "key": spec.key,
        "subject": (spec.subject,) if spec.subject else (),
        "pii": spec.pii,
    }
    for argument, columns in named.items():
        for name in columns:
            if name not in known:
                field = f"Source({spec.name!r}).{argument}"
                yield InvalidInput("is not a column", field=field, value=name, remedy=nearest(name, known))
    for column in spec.columns:
        if column.name not in known:
            yield missing_column(column.name, known)


def _columns(spec: SourceSpec, rows: pl.DataFrame, faults: list[MainspringError]) -> Iterator[Column]:
    declared = {column.name: column for column in spec.columns}
    for name, values in zip(rows.columns, rows.get_columns(), strict=True):
        field = f"Source({spec.name!r}).{name}"
        kind = kind_of(values.dtype)
        if name in (spec.time, spec.known_at) or kind == "time":
            try:
                as_times(values, field)
            except InvalidInput as fault:
                faults.append(fault)
            kind = "time"
        if name in declared:
            yield declared[name]
        elif kind is None:
            what = f"is of a type that is not supported ({values.dtype})"
            faults.append(InvalidInput(what, field=field, remedy="leave the column out, or turn it into a plain one"))
        else:
            yield Column(name, kind, nullable=values.null_count() > 0 or values.dtype.is_float())


def _rows(spec: SourceSpec, rows: pl.DataFrame) -> Iterator[MainspringError]:
    place = f"Source({spec.name!r})"
    for name in spec.key:
        if rows.get_column(name).null_count():
            remedy = "leave rows without a key out"
            yield InvalidInput("is missing in some rows", field=f"{place}.key", value=name, remedy=remedy)
    if rows.get_column(spec.time).null_count():
        remedy = "leave rows without a time out"
        yield InvalidInput("is missing in some rows", field=f"{place}.time", value=spec.time, remedy=remedy)
    try:
        known = timed(spec, rows)
    except InvalidInput as fault:
        yield fault
        return
    identity = [*spec.key, KNOWN]
    repeated = known.n_unique(subset=identity) < known.height
    if repeated:
        example = known.filter(known.select(identity).is_duplicated()).select(spec.key).row(0, named=True)
        what = "does not tell rows apart: the same key is known twice at the same moment"
        yield InvalidInput(what, field=f"{place}.key", value=example, remedy="add the columns that do")
