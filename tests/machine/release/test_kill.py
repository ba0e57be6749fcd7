"""A decision killed at each named moment: it happened whole or not at all, and goes through the next time."""

import os
import subprocess
import sys

import pytest

from mainspring.ledger.queries import verify_chain

STEP = """
import sys
from pathlib import Path
from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.clock import SimulatedClock
from mainspring.log.queries import PredictionLog
from mainspring.registry.service import Registry
from mainspring.release.service import ReleaseService

home, release = Path(sys.argv[1]), sys.argv[2]
clock = SimulatedClock(home / "clock")
store = SqliteStore(home / "meta.db", clock)
registry = Registry(store=store, blobs=FileBlobs(home / "blobs", LocalDisk()), clock=clock)
log = PredictionLog(store, ParquetTables(home / "parts", LocalDisk()))
service = ReleaseService(store=store, registry=registry, log=log, clock=clock)
service.promote(release, by="ann", reason="we must") if sys.argv[3] == "promote" else service.step(
    release, disabled={service.get(release).challenger: "gross"})
"""


@pytest.mark.parametrize("order", ["promote", "step"])
@pytest.mark.parametrize(
    ("moment", "done"), [("store.before_commit", False), ("release.before_commit", False), ("store.after_commit", True)]
)
def test_a_decision_is_whole_or_never_was(world, model, tmp_path, order: str, moment: str, done: bool) -> None:
    world.champion(model(0.35))
    version = world.version(model(0.3))
    release = world.releases.start(world.model, version.id, by="ann", reason="go")
    killed = run(tmp_path, release.id, order, moment)
    assert killed == -9
    ended = world.releases.get(release.id)
    champion = world.registry.alias(world.model, "champion")
    kind = "release.promoted" if order == "promote" else "release.rolled_back"
    assert ended.over == done
    assert (champion.id == version.id) == (done and order == "promote")
    assert len(world.told(kind)) == int(done)
    with world.store.read() as connection:
        assert verify_chain(connection).verified
    if not done:
        assert run(tmp_path, release.id, order, "") == 0
        assert world.releases.get(release.id).over
        assert len(world.told(kind)) == 1


def run(folder, release: str, order: str, moment: str) -> int:
    environment = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    return subprocess.run(
        [sys.executable, "-c", STEP, str(folder), release, order], env=environment, check=False
    ).returncode
