"""Runs of recipes, and backtests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from mainspring.kernel.metadata import metadata

training_runs = Table(
    "training_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("recipe", String(120), nullable=False),
    Column("key", String(64), nullable=False, index=True),  # digest of all inputs: the same key is not run again
    Column("status", String(20), nullable=False),  # done, failed
    Column("version", ForeignKey("versions.id")),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),  # numbers, or the error
)

backtests = Table(
    "backtests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("model", ForeignKey("models.id"), nullable=False, index=True),
    Column("champion", ForeignKey("versions.id"), nullable=False),
    Column("key", String(64), nullable=False, index=True),
    Column("at_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # training.backtest.BacktestResult
)
