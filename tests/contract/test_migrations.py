"""The tables that migrations make are the tables that the code declares."""

import importlib
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import String, text

from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import Refused
from mainspring.kernel.metadata import metadata

FOLDERS = (
    *("ledger", "registry", "features", "log", "release"),
    *("training", "checks", "monitoring", "project", "loop", "serving"),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(tmp_path, request):
    clock = SimulatedClock.create(tmp_path / "clock", datetime(2013, 3, 1, tzinfo=UTC))
    if request.param == "postgresql":
        store = PostgresStore(request.getfixturevalue("postgres_url"), clock)
    else:
        store = SqliteStore(tmp_path / "meta.db", clock)
    migrate(store)
    yield store
    store.close()


def _differs(context, inspected, declared, inspected_type, declared_type):
    """PostgreSQL's texts have no length, as SQLite's are not held to theirs: of two texts, lengths may differ."""
    return False if isinstance(inspected_type, String) and isinstance(declared_type, String) else None


def test_migrations_make_what_the_code_declares(store):
    for folder in FOLDERS:
        importlib.import_module(f"mainspring.{folder}.tables")
    importlib.import_module("mainspring.registry.environments")
    with store.read() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": _differs}), metadata
        )
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
