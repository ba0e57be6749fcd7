"""Alarms, the state that monitors carry from window to window, and notices waiting to be delivered."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, text

from mainspring.kernel.metadata import metadata

alarms = Table(
    "alarms",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", ForeignKey("projects.id"), nullable=False, index=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("monitor", String(20), nullable=False),
    Column("subject", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
    Column("closed_reason", Text),
    Column("acknowledged_us", BigInteger),
    Column("acknowledged_by", String(200)),
    Column("acknowledged_reason", Text),
)

# One open alarm for each monitor and subject of a model, whatever happens.
Index(
    "uq_alarms_open",
    alarms.c.model,
    alarms.c.monitor,
    alarms.c.subject,
    unique=True,
    sqlite_where=text("closed_us IS NULL"),
    postgresql_where=text("closed_us IS NULL"),
)

monitor_states = Table(
    "monitor_states",
    metadata,
    Column("model", ForeignKey("models.id"), primary_key=True),
    Column("monitor", String(20), primary_key=True),
    Column("spec", Text, nullable=False),  # monitoring.spec: a changed declaration starts again
    Column("body", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("notifier", String(120), primary_key=True),
    Column("body", Text, nullable=False),  # monitoring.ports.Notice
    Column("created_us", BigInteger, nullable=False),
    Column("delivered_us", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    Column("given_up", Text),  # why it will not be tried again
)
