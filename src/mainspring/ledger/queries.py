"""Reading the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, Row, select

from mainspring.ledger.chain import GENESIS, Entry, Head, Verdict, verify
from mainspring.ledger.tables import ledger_entries


def entries(
    connection: Connection,
    *,
    kind: str | None = None,
    subject: str | None = None,
    project: str | None = None,
    until_us: int | None = None,
    before: int | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> list[Entry]:
    """Return entries that match; ``kind`` also matches up to a dot (``release`` finds ``release.promoted``).

    ``before`` is the number of the first entry that is not wanted any more.
    """
    columns = ledger_entries.c
    query = select(ledger_entries)
    if kind is not None:
        query = query.where((columns.kind == kind) | columns.kind.startswith(kind + ".", autoescape=True))
    if subject is not None:
        query = query.where(columns.subject == subject)
    if project is not None:
        query = query.where(columns.project == project)
    if until_us is not None:
        query = query.where(columns.at_us <= until_us)
    if before is not None:
        query = query.where(columns.seq < before)
    query = query.order_by(columns.seq.desc() if newest_first else columns.seq)
    return [_entry(row) for row in connection.execute(query.limit(limit) if limit is not None else query)]


def verify_chain(connection: Connection, key: bytes = b"", *, heads: Iterable[Head] = ()) -> Verdict:
    """Check the whole chain as it is stored."""
    return verify(_all(connection), key, heads=heads)


def newest_head(connection: Connection) -> Head:
    """Return the last entry's number and hash."""
    newest = select(ledger_entries.c.seq, ledger_entries.c.hash).order_by(ledger_entries.c.seq.desc()).limit(1)
    row = connection.execute(newest).first()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def _all(connection: Connection) -> Iterator[Entry]:
    for row in connection.execute(select(ledger_entries).order_by("seq").execution_options(yield_per=1_000)):
        yield _entry(row)


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(**{**row._mapping, "numbers": msgspec.json.decode(row.numbers)})
