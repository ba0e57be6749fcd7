"""Revisions of projects."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text

from mainspring.kernel.metadata import metadata

# Every application of a revision that differed from the one before; a digest may come back.
revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", ForeignKey("projects.id"), nullable=False, index=True),
    Column("digest", String(64), nullable=False),  # of the blob that holds project.manifest.Revision
    Column("root", Text, nullable=False),  # the folder that it was applied from
    Column("applied_by", String(200), nullable=False),
    Column("applied_us", BigInteger, nullable=False),
    Column("ledger_seq", Integer, nullable=False),
)
