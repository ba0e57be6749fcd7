"""The list of parts in the metadata store: adding, finding, and merging many small ones into a larger one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Connection, delete, func, insert, or_, select
from sqlalchemy import Row as SqlRow

from mainspring.kernel.crashpoints import reached
from mainspring.ledger.ports import Store
from mainspring.log.ports import PartRef, Tables
from mainspring.log.pushed import KNOWN
from mainspring.log.rows import TIMES
from mainspring.log.tables import parts

MERGED_AT_ONCE = 12
MOST_MERGED_ROWS = 131_072
FULL = 99  # the level of parts that are large enough to stay as they are


class Span(msgspec.Struct, frozen=True):
    """What a part is found by: its first and last moment, and the models in it."""

    min_us: int | None
    max_us: int | None
    models: tuple[str, ...]


def span_of(table: str, frame: pl.DataFrame) -> Span:
    """Return what a part with these rows is found by."""
    times = frame[TIMES.get(table, KNOWN)]
    models = sorted(set(frame["model"])) if table in TIMES else []
    return Span(times.min(), times.max(), tuple(models))  # type: ignore[arg-type]  # an Int64 column


def list_parts(connection: Connection, written: Iterable[tuple[PartRef, Span]], now_us: int) -> None:
    """List parts that are durable already; their rows come after all others of their tables."""
    place = (connection.scalar(select(func.max(parts.c.place))) or 0) + 1
    rows = [listing(part, span, now_us, place=place, level=0) for part, span in written]
    if rows:
        connection.execute(insert(parts), rows)


def listed(
    connection: Connection,
    table: str | None = None,
    *,
    model: str | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
) -> list[PartRef]:
    """Return the parts that may hold rows of the model in ``[since_us, until_us)``, in the order of their rows."""
    query = select(parts).order_by(parts.c.table, parts.c.place)
    if table is not None:
        query = query.where(parts.c.table == table)
    if model is not None:
        query = query.where(parts.c.models.contains(f'"{model}"', autoescape=True))
    if since_us is not None:
        query = query.where(or_(parts.c.max_us.is_(None), parts.c.max_us >= since_us))
    if until_us is not None:
        query = query.where(or_(parts.c.min_us.is_(None), parts.c.min_us < until_us))
    return [_ref(row) for row in connection.execute(query)]


def spanned(connection: Connection, tables: Iterable[str]) -> list[tuple[PartRef, Span]]:
    """Return the parts of some tables with what each is found by, in the order of their rows."""
    query = select(parts).where(parts.c.table.in_(list(tables))).order_by(parts.c.table, parts.c.place)
    return [
        (_ref(row), Span(row.min_us, row.max_us, msgspec.json.decode(row.models, type=tuple[str, ...])))
        for row in connection.execute(query)
    ]


def merge_one(store: Store, tables: Tables, now_us: int) -> bool:
    """Merge the oldest small parts of one table that has gathered many; return whether anything was done.

    A part is rewritten about once for every factor of ten by which its table has grown.
    """
    with store.read() as connection:
        run = _small_run(connection)
    if not run:
        return False
    level = run[0].level + 1
    chosen = _fitting(run)
    if len(chosen) == 1:
        with store.bookkeeping() as connection:
            connection.execute(parts.update().where(parts.c.id == chosen[0].id).values(level=FULL))
        return True
    old = [_ref(row) for row in chosen]
    frame = tables.scan(old).collect()
    merged = tables.write(old[0].table, frame)
    span = span_of(merged.table, frame)
    reached("merge.after_write")
    with store.bookkeeping() as connection:
        connection.execute(delete(parts).where(parts.c.id.in_([part.id for part in old])))
        merged_listing = listing(merged, span, now_us, place=chosen[0].place, level=level)
        connection.execute(insert(parts), [merged_listing])
        reached("merge.before_commit")
    reached("merge.after_commit")
    tables.drop(old)
    return True


def _small_run(connection: Connection) -> Sequence[SqlRow[tuple[object, ...]]]:
    """Return the oldest parts of the lowest level of which some table has enough."""
    many = (
        select(parts.c.table, parts.c.level)
        .where(parts.c.level < FULL)
        .group_by(parts.c.table, parts.c.level)
        .having(func.count() >= MERGED_AT_ONCE)
        .order_by(parts.c.level, func.count().desc())
        .limit(1)
    )
    found = connection.execute(many).first()
    if found is None:
        return []
    of_level = select(parts).where(parts.c.table == found.table, parts.c.level == found.level)
    return connection.execute(of_level.order_by(parts.c.place).limit(MERGED_AT_ONCE)).all()


def _fitting(run: Sequence[SqlRow[tuple[object, ...]]]) -> list[SqlRow[tuple[object, ...]]]:
    chosen: list[SqlRow[tuple[object, ...]]] = []
    rows = 0
    for part in run:
        rows += part.rows
        if chosen and rows > MOST_MERGED_ROWS:
            break
        chosen.append(part)
    return chosen


def listing(part: PartRef, span: Span, now_us: int, *, place: int, level: int) -> dict[str, Any]:
    """Return a part's row in the list of parts."""
    return {
        **msgspec.structs.asdict(part),
        "place": place,
        "level": level,
        "min_us": span.min_us,
        "max_us": span.max_us,
        "models": msgspec.json.encode(span.models).decode(),
        "created_us": now_us,
    }


def _ref(row: SqlRow[tuple[object, ...]]) -> PartRef:
    return PartRef(row.id, row.table, row.digest, row.rows, row.bytes)
