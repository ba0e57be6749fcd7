"""Projects, models, versions and aliases."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from mainspring.kernel.metadata import metadata

projects = Table(
    "projects",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("revision", String(64)),  # digest of the newest applied revision
    Column("created_us", BigInteger, nullable=False),
)

# Each piece is JSON that the folder of its name decodes: spec here, checks, release, monitors and retrain elsewhere.
models = Table(
    "models",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", ForeignKey("projects.id"), nullable=False),
    Column("name", String(120), nullable=False),
    Column("spec", Text),  # registry.model.ModelSpec; empty for a model registered without a project
    Column("checks", Text, nullable=False, default="[]"),
    Column("release", Text),
    Column("monitors", Text, nullable=False, default="[]"),
    Column("retrain", Text),
    Column("revision", String(64)),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("project", "name"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # over package, signature and environment
    Column("body", Text, nullable=False),  # registry.version.Version
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("model", "number"),
)

# The newest row of an alias is where it points; older rows are its history and are never changed.
aliases = Table(
    "aliases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("alias", String(60), nullable=False),
    Column("version", ForeignKey("versions.id")),  # empty: the alias was taken away
    Column("since_us", BigInteger, nullable=False),
    Column("ledger_seq", Integer, nullable=False),
)

Index("ix_aliases_model_alias", aliases.c.model, aliases.c.alias, aliases.c.id)
