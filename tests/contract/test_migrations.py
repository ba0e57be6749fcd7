"""The tables that migrations make are the tables that the code declares."""

import importlib
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import String, insert, text

from mainspring.adapters.stores import migrate as migrations
from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import Refused
from mainspring.kernel.metadata import metadata
from mainspring.ledger.tables import ledger_entries
from mainspring.registry.tables import models, projects
from mainspring.release.agreed import agreed
from mainspring.release.tables import releases

FOLDERS = (
    *("ledger", "registry", "features", "log", "release"),
    *("training", "checks", "monitoring", "project", "loop", "serving"),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(tmp_path, request):
    clock = SimulatedClock.create(tmp_path / "clock", datetime(2013, 3, 1, tzinfo=UTC))
    if request.param == "postgresql":
        store = PostgresStore(request.getfixturevalue("postgres_url"), clock)
    else:
        store = SqliteStore(tmp_path / "meta.db", clock)
    yield store
    store.close()


@pytest.fixture
def store(empty_store):
    migrate(empty_store)
    return empty_store


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


OLD = '{"hold":"1d","margin":1e-7,"metric":"error","steps":[0.1],"type":"canary"}'  # as digests are taken over it
NEW = OLD.replace('"hold":"1d"', '"hold":"2d"')


def test_policies_of_releases_before_they_were_kept_are_taken_from_the_ledger(empty_store):
    store = empty_store
    with store.bookkeeping() as connection:
        upgrade(connection, "0009")
        connection.execute(insert(projects).values(id="prj", name="demo", created_us=0))
        connection.execute(insert(models).values(id="mod", project="prj", name="late", created_us=0))
        for name in ("rel_1", "rel_2"):
            values = {"id": name, "model": "mod", "project": "prj", "status": "running", "started_us": 3, "body": "{}"}
            connection.execute(insert(releases).values(**values, changes=0))
        told = [
            ("release.started", "rel_1", "go", {"policy": OLD, "policy_digest": sha(OLD)}),
            ("release.changed", "rel_1", "changed_by_hand: fair", {"policy": NEW, "policy_digest": sha(NEW)}),
            ("release.started", "rel_2", "go", {"policy": OLD, "policy_digest": sha(OLD)}),
            ("release.changed", "rel_2", "changed_by_hand: forged", {"policy": OLD, "policy_digest": sha(NEW)}),
            ("release.started", "rel_gone", "go", {"policy": OLD, "policy_digest": sha(OLD)}),
        ]
        for seq, (kind, subject, reason, numbers) in enumerate(told, 1):
            body = json.dumps({**numbers, "policy": json.loads(numbers["policy"])})
            values = {"actor": "bob", "project": "prj", "numbers": body, "previous": "", "hash": str(seq)}
            entry = {"seq": seq, "at_us": seq * 10, "kind": kind, "subject": subject, "reason": reason, **values}
            connection.execute(insert(ledger_entries).values(**entry))
    migrate(store)
    with store.read() as connection:
        first, second = agreed(connection, "rel_1")
        assert (first.since_us, first.digest, first.by, first.reason) == (10, sha(OLD), "bob", "go")
        assert (second.since_us, second.digest, second.reason) == (20, sha(NEW), "fair")
        assert (first.policy.hold, second.policy.hold, second.policy.margin) == ("1d", "2d", 1e-7)
        assert [one.digest for one in agreed(connection, "rel_2")] == [sha(OLD)]
        assert connection.scalar(text("SELECT count(*) FROM policies")) == 2


def upgrade(connection, revision):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def sha(text):
    return sha256(text.encode()).hexdigest()
