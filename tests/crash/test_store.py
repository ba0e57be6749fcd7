"""Both metadata stores under ``kill -9`` of their writer: a transaction is whole or never was."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.metadata import metadata
from mainspring.ledger.queries import entries, verify_chain
from mainspring.ledger.tables import ledger_entries

WRITER = """
import sys
from pathlib import Path
from mainspring.adapters.stores.postgres import PostgresStore
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SystemClock

place = sys.argv[1]
postgres = place.startswith("postgresql://")
store = PostgresStore(place, SystemClock()) if postgres else SqliteStore(Path(place), SystemClock())
for number in range(1, 100_000):
    with store.begin("writer") as tx:
        tx.record("pair.first", str(number), "one half")
        tx.record("pair.second", str(number), "the other half")
    print(number, flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(tmp_path, request):
    place = request.getfixturevalue("postgres_url") if request.param == "postgresql" else tmp_path / "meta.db"
    store = opened(place)
    with store.bookkeeping() as connection:
        metadata.create_all(connection, tables=[ledger_entries])
    store.close()
    return place


def opened(place):
    return PostgresStore(place, SystemClock()) if isinstance(place, str) else SqliteStore(place, SystemClock())


def stored(place):
    store = opened(place)
    with store.read() as connection:
        assert verify_chain(connection).verified
        kinds = [entry.kind for entry in entries(connection)]
    store.close()
    return kinds


def test_killed_before_the_commit_nothing_of_the_transaction_is_there(database):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": "store.before_commit:3"}
    ended = subprocess.run([sys.executable, "-c", WRITER, str(database)], env=armed, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert stored(database) == ["pair.first", "pair.second"] * 2


def test_killed_after_the_commit_all_of_it_is_there(database):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": "store.after_commit:3"}
    ended = subprocess.run([sys.executable, "-c", WRITER, str(database)], env=armed, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert stored(database) == ["pair.first", "pair.second"] * 3


@pytest.mark.parametrize("wait_s", [0.05, 0.11, 0.17, 0.23])
def test_killed_at_random_what_was_acknowledged_is_there_and_nothing_by_halves(database, wait_s):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait_s)
        writer.kill()
        acknowledged = 1 + sum(1 for line in writer.stdout if line.endswith("\n"))
    kinds = stored(database)
    assert kinds == ["pair.first", "pair.second"] * (len(kinds) // 2)
    assert len(kinds) // 2 >= acknowledged
