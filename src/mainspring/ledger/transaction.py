"""The transaction: new state, ledger entry and generation together, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from mainspring.kernel.errors import InvalidInput
from mainspring.ledger.chain import GENESIS, Entry, entry_hash
from mainspring.ledger.tables import ledger_entries


class Transaction:
    """One open write transaction. ``connection`` takes statements; ``record`` adds the entry that explains them."""

    def __init__(self, connection: Connection, actor: str, at_us: int) -> None:
        if not actor:
            raise InvalidInput(
                "a change needs an actor", field="actor", remedy="name the person or the part of the loop"
            )
        self.connection = connection
        self.actor = actor
        self.at_us = at_us
        self.entries: list[Entry] = []

    def record(
        self, kind: str, subject: str, reason: str, numbers: Mapping[str, Any] | None = None, *, project: str = ""
    ) -> Entry:
        """Append an entry to the chain. ``kind`` is ``noun.verb``, such as ``release.promoted``; a reason is needed."""
        if not reason.strip():
            raise InvalidInput("a change needs a reason", field="reason", remedy="say why in a few words")
        seq, previous = self._head()
        entry = Entry(
            seq=seq + 1,
            at_us=self.at_us,
            actor=self.actor,
            kind=kind,
            project=project,
            subject=subject,
            reason=reason,
            numbers=msgspec.json.decode(msgspec.json.encode(dict(numbers or {}))),
            previous=previous,
            hash="",
        )
        entry = msgspec.structs.replace(entry, hash=entry_hash(entry))
        self.connection.execute(insert(ledger_entries).values(_row(entry)))
        self.entries.append(entry)
        return entry

    def _head(self) -> tuple[int, str]:
        newest = select(ledger_entries.c.seq, ledger_entries.c.hash).order_by(ledger_entries.c.seq.desc()).limit(1)
        row = self.connection.execute(newest).first()
        return (row.seq, row.hash) if row else (0, GENESIS)


def _row(entry: Entry) -> dict[str, Any]:
    return {**msgspec.structs.asdict(entry), "numbers": msgspec.json.encode(entry.numbers, order="sorted").decode()}
