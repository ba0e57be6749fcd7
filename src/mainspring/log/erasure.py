"""Erasing one subject from the log: its key, its rows' bodies and names, what waits in the spool, copies of damage.

Numbers stay (scores, draws, outcomes), under names that lead nowhere, so evidence and counts do not change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Connection

from mainspring.kernel.crashpoints import reached
from mainspring.log.parts import listed
from mainspring.log.personal import ERASED
from mainspring.log.ports import Disk, PartRef, Tables
from mainspring.log.rewriting import Replaced, changed, write_anew
from mainspring.log.rows import SCHEMAS
from mainspring.log.segments import QUARANTINE, Position, boots, segment_path

_NAMES = ["subject", "entity", "unit"]
_ROW = ["prediction_id", "row"]


class Traces(msgspec.Struct, frozen=True):
    """What in the log belongs to a subject: its rows, and entities (with their model) that nobody else asked about."""

    rows: pl.DataFrame
    entities: pl.DataFrame


def pseudonym(salt: bytes, name: str) -> str:
    """Return what stands in a name's place; the salt is thrown away, so it leads nowhere.

    >>> pseudonym(b"s", "ann") == pseudonym(b"s", "ann") != pseudonym(b"t", "ann")
    True
    """
    return ERASED + hashlib.blake2b(name.encode(), key=salt, digest_size=12).hexdigest()


def traces(tables: Tables, requests: Iterable[PartRef], subject: str) -> Traces:
    """Return what belongs to the subject: rows asked in its name, or about it, or drawn by it."""
    frames = [tables.scan([part], [*_ROW, "model", *_NAMES]).collect() for part in requests]
    if not frames:
        nothing = {name: SCHEMAS["requests"][name] for name in (*_ROW, "model", "entity")}
        return Traces(
            pl.DataFrame(schema={n: nothing[n] for n in _ROW}),
            pl.DataFrame(schema={n: nothing[n] for n in ("model", "entity")}),
        )
    asked = pl.concat(frames).with_columns(mine=pl.any_horizontal(pl.col(name) == subject for name in _NAMES))
    mine = asked.filter("mine")
    others = asked.filter(~pl.col("mine")).select("model", "entity").unique()
    about = mine.select("model", "entity").unique().join(others, on=["model", "entity"], how="anti")
    return Traces(mine.select(_ROW).unique(), about)


class Erasing:
    """Changes frames of the log so that a subject is in them no more; counts the rows it changed."""

    def __init__(self, subject: str, salt: bytes, found: Traces) -> None:
        self._subject = subject
        self._salt = salt
        self._found = found
        names = {subject, *found.entities["entity"]}
        self.names = {name: pseudonym(salt, name) for name in sorted(names)}
        self.rows: dict[str, int] = {}

    def __call__(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        match table:
            case "requests":
                return self._requests(frame)
            case "scored":
                return self._scored(frame)
            case "outcomes":
                return self._outcomes(frame)
        return frame

    def _requests(self, frame: pl.DataFrame) -> pl.DataFrame:
        mine = self._marked(frame, self._found.rows, _ROW)
        blank = {name: pl.lit("") for name in ("body", "caller")}
        keys = {key: pseudonym(self._salt, key) for key in frame.filter(mine)["idempotency_key"].unique() if key}
        blank["idempotency_key"] = pl.col("idempotency_key").replace(keys)  # equal ones stay equal: counted once
        about = self._marked(frame, self._found.entities, ["model", "entity"])
        named = {name: self._renamed(name) for name in ("subject", "unit")}
        entity = pl.when(pl.lit(about) | (pl.col("entity") == self._subject)).then(self._renamed("entity"))
        return self._changed("requests", frame, mine, {**blank, **named, "entity": entity.otherwise(pl.col("entity"))})

    def _scored(self, frame: pl.DataFrame) -> pl.DataFrame:
        mine = self._marked(frame, self._found.rows, _ROW)
        blank: dict[str, Any] = {"features": pl.lit(""), "reason": pl.lit(""), "typed": pl.lit(None, pl.Binary())}
        return self._changed("scored", frame, mine, blank)

    def _outcomes(self, frame: pl.DataFrame) -> pl.DataFrame:
        mine = self._marked(frame, self._found.entities, ["model", "entity"]) | (frame["entity"] == self._subject)
        return self._changed("outcomes", frame, mine, {"entity": self._renamed("entity")})

    def _renamed(self, column: str) -> pl.Expr:
        return pl.col(column).replace(self.names)

    def _changed(
        self, table: str, frame: pl.DataFrame, mine: pl.Series, columns: Mapping[str, pl.Expr]
    ) -> pl.DataFrame:
        count = int(mine.sum())
        if not count:
            return frame
        self.rows[table] = self.rows.get(table, 0) + count
        return frame.with_columns(
            pl.when(pl.lit(mine)).then(value).otherwise(pl.col(name)).alias(name)
            for name, value in columns.items()
            if name in frame.columns
        )

    @staticmethod
    def _marked(frame: pl.DataFrame, wanted: pl.DataFrame, keys: list[str]) -> pl.Series:
        marked = frame.select(keys).join(wanted.with_columns(_here=True), on=keys, how="left", maintain_order="left")
        return marked["_here"].fill_null(value=False)


class Changes(msgspec.Struct, frozen=True):
    """Parts written without a subject, to be listed by the caller; rows by table, and what its names became."""

    replaced: list[Replaced]
    rows: dict[str, int]
    names: dict[str, str]


def erase_rows(tables: Tables, connection: Connection, subject: str, salt: bytes) -> Changes:
    """Write the log's parts anew without the subject."""
    found = traces(tables, listed(connection, "requests"), subject)
    erasing = Erasing(subject, salt, found)
    chosen = [part for table in ("requests", "scored", "outcomes") for part in listed(connection, table)]
    return Changes(write_anew(tables, changed(tables, chosen, erasing)), erasing.rows, erasing.names)


def names_in(tables: Tables, connection: Connection) -> set[str]:
    """Return every name by which the log knows a subject: those of requests, rows and units."""
    found: set[str] = set()
    for part in listed(connection, "requests"):
        frame = tables.scan([part], _NAMES).collect()
        found.update(*(frame[name].unique().drop_nulls() for name in _NAMES))
    return {name for name in found if name and not name.startswith(ERASED)}


def erase_from_source(
    tables: Tables, connection: Connection, source: str, column: str, subject: str
) -> tuple[list[Replaced], int]:
    """Write a source's parts anew without the subject's rows; the caller lists them."""
    gone: list[int] = []

    def without(table: str, frame: pl.DataFrame) -> pl.DataFrame:
        mine = (frame[column].cast(pl.String) == subject).fill_null(value=False)
        gone.append(int(mine.sum()))
        return frame.filter(~mine) if mine.any() else frame

    replaced = write_anew(tables, changed(tables, listed(connection, f"source:{source}"), without))
    return replaced, sum(gone)


def blank_spool(disk: Disk, spool: Path, positions: Mapping[str, Position]) -> int:
    """Write zeros over what was taken in already of segments that are still written to; return the bytes."""
    blanked = 0
    for boot in boots(disk, spool):
        at = positions.get(boot)
        if at is None:
            continue
        path = segment_path(spool, boot, at.segment)
        if at.offset and disk.size(path) is not None:
            disk.blank(path, at.offset)
            blanked += at.offset
            reached("erase.blanked")
    return blanked


def drop_quarantined(disk: Disk, spool: Path, subject: str) -> list[str]:
    """Remove copies of damaged segments in which the subject's name stands; return their names."""
    needle = subject.encode()
    found = [name for name in disk.list(spool / QUARANTINE) if needle in disk.read(spool / QUARANTINE / name)]
    for name in found:
        disk.remove(spool / QUARANTINE / name)
    return found
