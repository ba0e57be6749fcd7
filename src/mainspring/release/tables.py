"""Releases, their sums, and every decision taken."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from mainspring.kernel.metadata import metadata

releases = Table(
    "releases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("project", String(32), nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),  # empty while it runs
    Column("body", Text, nullable=False),  # release.release.Record
    Column("changes", Integer, nullable=False, default=0),  # raised by every save: two steps at once are refused
)

Index("ix_releases_model_ended", releases.c.model, releases.c.ended_us)
Index("ix_releases_status_model", releases.c.status, releases.c.model)
Index("ix_releases_model_started", releases.c.model, releases.c.started_us, releases.c.ended_us)
Index("ix_releases_started", releases.c.started_us)

release_books = Table(
    "release_books",
    metadata,
    Column("release", ForeignKey("releases.id"), primary_key=True),
    Column("body", Text, nullable=False),  # release.evidence.gathered.Books
    Column("units", LargeBinary, nullable=False, default=b""),  # release.gather.units_bytes
)

release_decisions = Table(
    "release_decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("releases.id"), nullable=False, index=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("body", Text, nullable=False),  # release.engine.Decision
)

policies = Table(
    "policies",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # release.policy.Policy as canonical JSON: what the digest is taken over
)

release_policies = Table(
    "release_policies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("release", ForeignKey("releases.id"), nullable=False, index=True),
    Column("since_us", BigInteger, nullable=False),
    Column("digest", ForeignKey("policies.digest"), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
)

rehearsals = Table(
    "rehearsals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False),
    Column("project", String(32), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # release.rehearsal.report.Rehearsal
)

Index("ix_rehearsals_model_at", rehearsals.c.model, rehearsals.c.at_us)
Index("ix_rehearsals_at", rehearsals.c.at_us)
