"""The ledger's table: one row an entry, in the order of the chain."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from mainspring.kernel.metadata import metadata

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("kind", String(80), nullable=False, index=True),
    Column("project", String(32), nullable=False, index=True),
    Column("subject", String(120), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
