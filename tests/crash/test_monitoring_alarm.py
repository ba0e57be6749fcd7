"""An alarm, its ledger entry, its notice and the monitor's state are one transaction, whenever the process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.clock import SimulatedClock
from mainspring.ledger.queries import entries, verify_chain
from mainspring.log.queries import PredictionLog
from mainspring.monitoring.service import MonitoringService
from mainspring.monitoring.tables import monitor_states, notices
from mainspring.registry.service import Registry

WORLD = Path(__file__).parents[1] / "story" / "monitoring" / "conftest.py"
PLAY = """
import runpy, sys
from pathlib import Path
world = runpy.run_path(sys.argv[1], run_name="world")["World"](Path(sys.argv[2]))
world.champion("ver_1")
world.play(1)
world.play(1, failing=5)
"""


@pytest.mark.parametrize(("moment", "opened"), [("monitoring.before_commit", 0), ("store.after_commit:3", 1)])
def test_an_alarm_is_opened_once_whenever_the_process_is_killed(tmp_path, moment, opened):
    env = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    done = subprocess.run([sys.executable, "-c", PLAY, str(WORLD), str(tmp_path)], env=env, check=False)
    assert done.returncode in (-signal.SIGKILL, 0)

    clock = SimulatedClock(tmp_path / "clock")
    store, disk = SqliteStore(tmp_path / "meta.db", clock), LocalDisk()
    log = PredictionLog(store, ParquetTables(tmp_path / "parts", disk))
    registry = Registry(store=store, blobs=FileBlobs(tmp_path / "blobs", disk), clock=clock)
    postbox = type("Postbox", (), {"name": "postbox", "notify": lambda self, notice: None})()
    monitoring = MonitoringService(store=store, registry=registry, log=log, notifiers=[postbox], clock=clock)
    assert len(monitoring.alarms()) == opened

    for _ in range(2):
        monitoring.evaluate("mod_1")
    assert [alarm.subject for alarm in monitoring.alarms()] == ["failed rows"]
    with store.read() as connection:
        assert [entry.kind for entry in entries(connection, kind="alarm")] == ["alarm.opened"]
        assert verify_chain(connection).verified
        assert connection.scalar(select(func.count()).select_from(notices)) == 1
        assert connection.scalar(select(func.count()).select_from(monitor_states)) == 4
    store.close()
