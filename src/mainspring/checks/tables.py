"""What each check said of each version; rows are added, never changed, but for the name of who overrode one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from mainspring.kernel.metadata import metadata

check_results = Table(
    "check_results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", ForeignKey("versions.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("status", String(20), nullable=False),  # passed, failed, inconclusive
    Column("severity", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("overridden_by", String(200)),
    Column("override_reason", Text),
    Column("ledger_seq", Integer),
)
