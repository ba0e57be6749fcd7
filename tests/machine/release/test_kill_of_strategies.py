"""What newer strategies decide, killed at each named moment: it happened whole or not at all, and goes through next."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mainspring.ledger.queries import verify_chain
from mainspring.release.policy import Approval, Bandit, BlueGreen, Canary, ChampionChallenger, Immediate

ACT = """
import sys
from pathlib import Path
import msgspec
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
found = service.get(release)
match sys.argv[3]:
    case "approve":
        service.approve(release, by="bob", reason="looks right")
    case "change":
        service.change(release, msgspec.structs.replace(found.policy, hold="9d"), by="bob", reason="slower")
    case "drop":
        service.step(release, disabled={found.contenders[0].version: "gross"})
    case "back":
        service.roll_back(release, by="bob", reason="customers complain")
    case "step":
        service.step(release)
"""

MOMENTS = [("store.before_commit", False), ("release.before_commit", False), ("store.after_commit", True)]


def approving(world, model):
    return begun(world, Immediate(approval=Approval()), model(0.3))


def changing(world, model):
    return begun(world, Canary(), model(0.3))


def dropping(world, model):
    release = begun(world, Bandit(per="request", minimum_units=100), model(0.3), model(0.3))
    world.play(0.5)
    assert world.releases.get(release.id).stage == "bandit"
    return release


def switching_back(world, model):
    release = begun(world, BlueGreen(), model(0.3))
    world.play(0.4)
    assert world.releases.get(release.id).share == 1.0
    return release


def switching(world, model):
    """The next step switches everything to the new version."""
    release = begun(world, BlueGreen(), model(0.3))
    return until_next(world, release)


def winning(world, model):
    """The next step sends the winner of a contest into its canary."""
    policy = ChampionChallenger(margin=0.5, minimum_units=100, shadow_at_least="2d")
    release = begun(world, policy, model(0.3), model(0.4))
    return until_next(world, release)


def begun(world, policy, *answers):
    world.champion(answers[0])
    world.play(1.0)
    first, *others = [world.version(answer).id for answer in answers]
    return world.releases.start(world.model, first, policy, by="ann", reason="go", others=others)


def until_next(world, release):
    """Let time pass until the next step would advance, without taking it."""
    world.releases.step(release.id)
    for _ in range(60):
        begun_us = world.clock.now_us()
        world.clock.advance(world.clock.now() + timedelta(hours=8))
        world.traffic(begun_us, world.clock.now_us(), world.releases.running(world.model))
        if would_advance(world, release):
            return release
    raise AssertionError("it never advances")


def would_advance(world, release) -> bool:
    from mainspring.release.engine import decide
    from mainspring.release.gather import gather
    from mainspring.release.service import _shows

    record, _ = world.releases._records.load(release.id)
    now_us = world.clock.now_us()
    books = gather(world.log, record, world.releases._records.books(release.id), now_us).books
    newest_us = world.log.last_outcome_us(record.model)
    found = None if record.state.contest else _shows(record.terms, books, newest_us)
    facts = world.releases._facts(record, books, {}, newest_us)
    return decide(record.terms, record.state, found, facts, now_us).kind == "advance"


ORDERS: dict[str, tuple[Callable, str, str]] = {
    "approve": (approving, "approve", "release.approved"),
    "change": (changing, "change", "release.changed"),
    "drop": (dropping, "drop", "release.dropped"),
    "back": (switching_back, "back", "release.rolled_back"),
    "switch": (switching, "step", "release.advanced"),
    "win": (winning, "step", "release.advanced"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_decided_is_whole_or_never_was(world, model, tmp_path: Path, order: str) -> None:
    prepare, word, kind = ORDERS[order]
    release = prepare(world, model)
    told = len(world.told(kind))
    before = world.releases.get(release.id)
    for moment, done in MOMENTS:
        assert run(tmp_path, release.id, word, moment) == -9
        assert len(world.told(kind)) == told + done
        now = world.releases.get(release.id)
        assert ((now.policy, now.approved, now.contenders, now.stage, now.share, now.challenger) != (
            before.policy, before.approved, before.contenders, before.stage, before.share, before.challenger,
        )) == done  # fmt: skip
    with world.store.read() as connection:
        assert verify_chain(connection).verified


def run(folder: Path, release: str, order: str, moment: str) -> int:
    environment = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    return subprocess.run(
        [sys.executable, "-c", ACT, str(folder), release, order], env=environment, check=False
    ).returncode
