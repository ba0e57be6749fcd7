"""The table of API keys: who may ask gateways and control over a network. Of a key itself only a hash is kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, text

from mainspring.kernel.metadata import metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("hash", String(64), nullable=False),  # SHA-256: 256 random bits need no salt
    Column("roles", String(100), nullable=False),  # in the order of ROLES, with commas
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    Column("revoked_by", String(200)),
)

# A name stands for one key at a time, so that a log that names the caller is clear.
Index(
    "uq_api_keys_name",
    api_keys.c.name,
    unique=True,
    sqlite_where=text("revoked_us IS NULL"),
    postgresql_where=text("revoked_us IS NULL"),
)
