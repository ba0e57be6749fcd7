"""Changing rows of listed parts: new parts are written first, then one transaction swaps the listing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import polars as pl
from sqlalchemy import Connection, delete, insert, select

from mainspring.kernel.crashpoints import reached
from mainspring.log.parts import Span, listing, span_of
from mainspring.log.ports import PartRef, Tables
from mainspring.log.tables import parts

Change = Callable[[str, pl.DataFrame], pl.DataFrame]
"""From a table's name and a part's rows to the rows that take their place; the same frame where nothing changes."""


class Replaced(msgspec.Struct, frozen=True):
    """A part that is to be listed no more, and the one in its place; none where no row is left."""

    old: PartRef
    new: PartRef | None = None
    span: Span | None = None


def changed(tables: Tables, chosen: Sequence[PartRef], change: Change) -> Iterator[tuple[PartRef, pl.DataFrame]]:
    """Yield the parts that change, each with the rows that take its rows' place."""
    for part in chosen:
        before = tables.scan([part]).collect()
        after = change(part.table, before)
        if after is not before:
            yield part, after


def write_anew(tables: Tables, changes: Iterable[tuple[PartRef, pl.DataFrame]]) -> list[Replaced]:
    """Write changed parts; nothing is listed yet, so a crash leaves only what a sweep removes."""
    replaced = []
    for part, after in changes:
        if not after.height:
            replaced.append(Replaced(part))
            continue
        new = tables.write(part.table, after)
        reached("rewrite.after_write")
        replaced.append(Replaced(part, new, span_of(part.table, after)))
    return replaced


def list_replaced(connection: Connection, replaced: Sequence[Replaced], now_us: int) -> None:
    """Let the new parts stand where the old ones stood, in the caller's transaction."""
    ids = [one.old.id for one in replaced]
    places = {row.id: row for row in connection.execute(select(parts).where(parts.c.id.in_(ids)))}
    connection.execute(delete(parts).where(parts.c.id.in_(ids)))
    rows = [
        listing(one.new, one.span, now_us, place=places[one.old.id].place, level=places[one.old.id].level)
        for one in replaced
        if one.new is not None and one.span is not None
    ]
    if rows:
        connection.execute(insert(parts), rows)
    reached("rewrite.before_commit")
