"""The transaction: new state, ledger entry and generation together, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import InvalidInput
from mainspring.ledger.chain import Entry, entry_hash
from mainspring.ledger.queries import newest_head
from mainspring.ledger.tables import ledger_entries


class Transaction:
    """One open write transaction. ``connection`` takes statements; ``record`` adds the entry that explains them."""

    def __init__(self, connection: Connection, actor: str, at_us: int, key: bytes = b"") -> None:
        if not actor:
            raise InvalidInput(
                "a change needs an actor", field="actor", remedy="name the person or the part of the loop"
            )
        self.connection = connection
        self.actor = actor
        self.at_us = at_us
        self.entries: list[Entry] = []
        self._key = key

    def record(
        self, kind: str, subject: str, reason: str, numbers: Mapping[str, Any] | None = None, *, project: str = ""
    ) -> Entry:
        """Append an entry to the chain. ``kind`` is ``noun.verb``, such as ``release.promoted``; a reason is needed."""
        if not reason.strip():
            raise InvalidInput("a change needs a reason", field="reason", remedy="say why in a few words")
        head = newest_head(self.connection)
        entry = Entry(
            seq=head.seq + 1,
            at_us=self.at_us,
            actor=self.actor,
            kind=kind,
            project=project,
            subject=subject,
            reason=reason,
            numbers=msgspec.json.decode(msgspec.json.encode(dict(numbers or {}))),
            previous=head.hash,
            hash="",
        )
        entry = msgspec.structs.replace(entry, hash=entry_hash(entry, self._key))
        self.connection.execute(insert(ledger_entries).values(_row(entry)))
        self.entries.append(entry)
        return entry


@contextmanager
def recorded(
    bookkeeping: AbstractContextManager[Connection], actor: str, clock: Clock, key: bytes = b""
) -> Iterator[Transaction]:
    """Make one write of a store a change: it is committed with the entry that explains it, or not at all."""
    with bookkeeping as connection:
        transaction = Transaction(connection, actor, clock.now_us(), key)
        yield transaction
        if not transaction.entries:
            raise AssertionError("a change without a ledger entry: record what was done and why")
        reached("store.before_commit")
    reached("store.after_commit")


def _row(entry: Entry) -> dict[str, Any]:
    return {**msgspec.structs.asdict(entry), "numbers": msgspec.json.encode(entry.numbers, order="sorted").decode()}
