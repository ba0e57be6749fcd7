"""What the loop remembers: retrainings on their way, and the routing generations that were published."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from mainspring.kernel.metadata import metadata

retrainings = Table(
    "retrainings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("trigger", String(40), nullable=False),  # schedule, quality, drift, person
    Column("state", String(20), nullable=False),  # loop.facts.RetrainingState
    Column("proposed_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("version", ForeignKey("versions.id")),
    Column("release", String(32)),
    Column("reason", Text, nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("body", Text, nullable=False),  # serving.routing.Routing
)
