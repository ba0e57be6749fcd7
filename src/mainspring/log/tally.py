"""Running sums over whole tables, kept in the transaction that adds the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Connection, insert, select, update

from mainspring.log.rows import TIMES
from mainspring.log.tables import tallies


class Tally(msgspec.Struct, frozen=True):
    """Rows of one model under one name, with the first and last moment among them."""

    model: str
    name: str
    rows: int
    first_us: int | None = None
    last_us: int | None = None


def tallies_of(table: str, frame: pl.DataFrame) -> Iterator[Tally]:
    """Count a part's rows by model; scored rows by role, as ``scored:<role>``."""
    if table not in TIMES:
        return
    keys = ["model", "role"] if table == "scored" else ["model"]
    time = pl.col(TIMES[table])
    counted = frame.group_by(keys, maintain_order=True).agg(
        pl.len().alias("rows"), time.min().alias("first_us"), time.max().alias("last_us")
    )
    for row in counted.iter_rows(named=True):
        name = f"scored:{row['role']}" if table == "scored" else table
        yield Tally(row["model"], name, row["rows"], row["first_us"], row["last_us"])


def add_tallies(connection: Connection, added: Iterable[Tally]) -> None:
    """Add counts to those stored."""
    for tally in added:
        here = (tallies.c.model == tally.model) & (tallies.c.name == tally.name)
        stored = connection.execute(select(tallies).where(here)).first()
        if stored is None:
            connection.execute(insert(tallies).values(msgspec.structs.asdict(tally)))
            continue
        changed: dict[str, Any] = {
            "rows": stored.rows + tally.rows,
            "first_us": min(stored.first_us, tally.first_us),
            "last_us": max(stored.last_us, tally.last_us),
        }
        connection.execute(update(tallies).where(here).values(changed))


def read_tallies(connection: Connection, model: str | None = None) -> list[Tally]:
    """Return the stored counts, of one model or of all."""
    query = select(tallies) if model is None else select(tallies).where(tallies.c.model == model)
    return [Tally(**row._mapping) for row in connection.execute(query)]
