"""The tables that migrations make are the tables that the code declares."""

import importlib
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import Refused
from mainspring.kernel.metadata import metadata

FOLDERS = (
    *("ledger", "registry", "features", "log", "release"),
    *("training", "checks", "monitoring", "project", "loop", "serving"),
)


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(
        tmp_path / "meta.db", SimulatedClock.create(tmp_path / "clock", datetime(2013, 3, 1, tzinfo=UTC))
    )
    migrate(store)
    yield store
    store.close()


def test_migrations_make_what_the_code_declares(store):
    for folder in FOLDERS:
        importlib.import_module(f"mainspring.{folder}.tables")
    with store.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_migrating_again_changes_nothing(store):
    migrate(store)
    with store.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_a_home_made_by_a_newer_version_is_refused(store):
    with store.bookkeeping() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match="made by a newer version"):
        migrate(store)
