"""What the metadata store must do."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from mainspring.ledger.transaction import Transaction


class Store(Protocol):
    """The metadata store. One writer at a time; a transaction is whole or never was. SQLite and PostgreSQL do."""

    def begin(self, actor: str) -> AbstractContextManager[Transaction]:
        """Open a write transaction; leaving it commits, unless it recorded no ledger entry (an error) or raised."""
        ...

    def bookkeeping(self) -> AbstractContextManager[Connection]:
        """Open a write transaction for positions, parts and caches: what changes nothing a person would ask why of."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """Open a read-only connection that sees one committed state."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
