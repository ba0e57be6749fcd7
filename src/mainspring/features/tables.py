"""Sources and views of the newest revision, and views kept because a version needs them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text, UniqueConstraint

from mainspring.kernel.metadata import metadata

sources = Table(
    "sources",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", ForeignKey("projects.id"), nullable=False),
    Column("name", String(120), nullable=False),
    Column("spec", Text, nullable=False),  # features.spec.SourceSpec
    Column("watermark", Text),  # greatest watermark read so far
    Column("read_until_us", BigInteger),  # rows known up to here were read from the file
    UniqueConstraint("project", "name"),
)

views = Table(
    "views",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("project", ForeignKey("projects.id"), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("source", ForeignKey("sources.id"), nullable=False),
    Column("spec", Text, nullable=False),  # features.spec.ViewSpec
    Column("fed_since_us", BigInteger, nullable=False),
)
