"""Copy every row of one metadata store into another, and prove that they are equal: for moving and for backups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Integer, Table, func, insert, inspect, select, text
from sqlalchemy import MetaData as SqlMetaData

from mainspring.kernel.errors import Damaged
from mainspring.ledger.queries import newest_head

_ROWS_AT_ONCE = 500
_NOT_COPIED = ("alembic_version", "mainspring_home")


class Copied(msgspec.Struct, frozen=True):
    """How much was copied: rows by table, and the ledger's entries and head."""

    rows: dict[str, int]
    entries: int
    head: str


def copy_rows(source: Connection, target: Connection) -> Copied:
    """Replace all rows of ``target`` by those of ``source`` within its transaction; raise ``Damaged`` if any differs.

    Both have the tables of this version. What a table is called and holds is read from ``source`` itself, so nothing is
    left behind because somebody forgot to list it.
    """
    tables = _tables(source)
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        for rows in _batches(source, table):
            target.execute(insert(table), rows)
        _count_on(target, table)
    return _compare(source, target, tables)


def _tables(source: Connection) -> list[Table]:
    found = SqlMetaData()
    found.reflect(source, only=[name for name in inspect(source).get_table_names() if name not in _NOT_COPIED])
    return list(found.sorted_tables)


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    keys = list(table.primary_key.columns)
    rows = source.execute(select(table).order_by(*keys).execution_options(yield_per=_ROWS_AT_ONCE))
    for some in rows.mappings().partitions(_ROWS_AT_ONCE):
        yield [dict(row) for row in some]


def _count_on(target: Connection, table: Table) -> None:
    """Let the next number of a table be above those that were copied."""
    keys = list(table.primary_key.columns)
    if target.dialect.name != "postgresql" or len(keys) != 1 or not isinstance(keys[0].type, Integer):
        return
    name = {"table": table.name, "column": keys[0].name}
    if target.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), name) is not None:
        highest = target.scalar(select(func.max(keys[0]))) or 0
        after = text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest + 1, false)")
        target.execute(after, {**name, "highest": highest})


def _compare(source: Connection, target: Connection, tables: list[Table]) -> Copied:
    counts = {}
    for table in tables:
        (here, before), (there, after) = _told(source, table), _told(target, table)
        if (here, before) != (there, after):
            raise Damaged(f"{there} rows arrived of {here}, or they differ", field="table", value=table.name)
        counts[table.name] = here
    head = newest_head(target)
    return Copied(counts, head.seq, str(head))


def _told(connection: Connection, table: Table) -> tuple[int, str]:
    """Return the number of a table's rows, and a digest over them in the order of their keys."""
    digest, count = hashlib.sha256(), 0
    for rows in _batches(connection, table):
        count += len(rows)
        digest.update(repr([sorted(row.items()) for row in rows]).encode())
    return count, digest.hexdigest()
