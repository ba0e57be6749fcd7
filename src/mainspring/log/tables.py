"""What the metadata store knows of the log: parts, positions in the spool, and running tallies."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from mainspring.kernel.metadata import metadata

# A part exists for readers once it is listed here. ``place`` orders the parts of a table as their rows came.
parts = Table(
    "parts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("table", String(60), nullable=False, index=True),
    Column("place", Integer, nullable=False),
    Column("level", Integer, nullable=False),  # how often its rows were merged
    Column("digest", String(64), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("min_us", BigInteger),  # of the column that the table is asked by
    Column("max_us", BigInteger),
    Column("models", Text, nullable=False),  # JSON list
    Column("created_us", BigInteger, nullable=False),
)

# Everything before ``offset`` of ``segment`` is in parts.
positions = Table(
    "positions",
    metadata,
    Column("boot", String(40), primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
)

# Which boots of gateways have written, and under which policy they acknowledged.
boots = Table(
    "boots",
    metadata,
    Column("boot", String(40), primary_key=True),
    Column("acknowledgement", String(20), nullable=False),
    Column("batch_ms", Integer, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)

# A key a subject, sealed with the home's secret. Without its key nothing of a subject can be opened any more.
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("digest", String(64), primary_key=True),  # of the subject, keyed with the home's secret
    Column("key", LargeBinary, nullable=False),
)

# Who was erased, and when: files and queries may still hold their rows, which are not taken in again.
erased_subjects = Table(
    "erased_subjects",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("erased_us", BigInteger, nullable=False),
)

# What is remembered of tables that are published for other engines.
publications = Table(
    "publications",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("table", String(60), nullable=False),
    Column("state", Text, nullable=False),  # adapters.tables.delta.State
)

# Sums over whole tables that pages ask for often: rows of a table, or scored rows of a role.
tallies = Table(
    "tallies",
    metadata,
    Column("model", String(32), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("first_us", BigInteger),
    Column("last_us", BigInteger),
)
