"""What newer strategies decide, killed at each named moment: it happened whole or not at all, and goes through next."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import pytest

from mainspring.ledger.queries import verify_chain
from mainspring.release.policy import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger

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
    case "change":
        service.change(release, msgspec.structs.replace(found.policy, hold="9d"), by="bob", reason="slower")
    case "abort":
        service.abort(release, by="bob", reason="enough")
    case "drop":
        service.step(release, disabled={found.contenders[0].version: "gross"})
    case "step":
        service.step(release)
"""

MOMENTS = [("store.before_commit", False), ("release.before_commit", False), ("store.after_commit", True)]


def changing(world, model):
    return begun(world, Canary(), model(0.3))


def dropping(world, model):
    release = begun(world, Bandit(per="request", minimum_units=100), model(0.3), model(0.3))
    world.play(0.5)
    assert world.releases.get(release.id).stage == "bandit"
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
        if next_decision(world, release) == "advance":
            return release
    raise AssertionError("it never advances")


def next_decision(world, release) -> str:
    """Return what the next step will decide, without taking it."""
    from mainspring.release.engine import decide
    from mainspring.release.facts import shows
    from mainspring.release.gather import gather

    record, _ = world.releases._records.load(release.id)
    now_us = world.clock.now_us()
    books = gather(world.log, record, world.releases._records.books(release.id), now_us).books
    newest_us = world.log.last_outcome_us(record.model)
    found = None if record.state.contest else shows(record.terms, books, newest_us)
    facts = world.releases._facts.read(record, books, {}, newest_us)
    return decide(record.terms, record.state, found, facts, now_us).kind


ORDERS: dict[str, tuple[Callable, str, str]] = {
    "change": (changing, "change", "release.changed"),
    "drop": (dropping, "drop", "release.dropped"),
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


def in_canary(world, model):
    release = until_next(world, begun(world, Canary(margin=0.5, minimum_units=100, steps=[0.3]), model(0.3)))
    world.releases.step(release.id)
    return release


def held(world, model):
    release = in_canary(world, model)
    world.releases.hold(release.id, by="bob", reason="wait")
    return release


def kept(world, model):
    release = switching(world, model)
    world.releases.step(release.id)
    return release


def in_test(world, model):
    release = begun(world, ABTest(), model(0.3))
    world.play(0.5)
    return release


ABORTED: dict[str, tuple[Callable, str, str]] = {
    "shadow": (changing, "running", "shadow"),
    "canary": (in_canary, "running", "canary"),
    "held": (held, "held", "canary"),
    "kept": (kept, "running", "kept"),
    "test": (in_test, "running", "test"),
    "bandit": (dropping, "running", "bandit"),
}


@pytest.mark.parametrize(("place", "moment"), list(zip(ABORTED, cycle(MOMENTS), strict=False)))
def test_an_abort_in_any_state_is_whole_or_is_given_again_once_control_is_back(
    world, model, tmp_path: Path, place: str, moment: tuple[str, bool]
) -> None:
    prepare, status, stage = ABORTED[place]
    release = prepare(world, model)
    before = world.releases.get(release.id)
    assert (before.status, before.stage) == (status, stage)
    where, done = moment
    assert run(tmp_path, release.id, "abort", where) == -9
    after = world.releases.get(release.id)
    assert (after.status == "aborted") == done
    assert after.share == (0.0 if done else before.share)
    assert run(tmp_path, release.id, "abort", "") == 0
    ended = world.releases.get(release.id)
    assert (ended.status, ended.share, ended.shadows) == ("aborted", 0.0, ())
    assert len(world.told("release.aborted")) == 1
    assert world.registry.alias(world.model, "champion").id == release.champion
    assert world.registry.alias(world.model, "challenger") is None
    world.play(1 / 3)
    assert world.releases.get(release.id).history[-1].kind == "abort"  # nothing is decided after it


def contested(world, model, act):
    """Play a contest to its end; ``act`` is called before each step that will decide."""
    policy = ChampionChallenger(margin=0.05, minimum_units=300, steps=[0.5], hold="12h")
    release = begun(world, policy, model(0.3), model(0.6), model(0.1, bias=3.0))
    for _ in range(40):
        begun_us = world.clock.now_us()
        world.clock.advance(world.clock.now() + timedelta(hours=12))
        world.traffic(begun_us, world.clock.now_us(), world.releases.running(world.model))
        if next_decision(world, release) != "wait":
            act(release.id)
        world.releases.step(release.id)
        if world.releases.get(release.id).over:
            return world.releases.get(release.id)
    raise AssertionError("it is never over")


def test_a_release_whose_control_dies_at_every_decision_comes_to_the_same_end(new_world, model, tmp_path: Path) -> None:
    calm = contested(new_world(tmp_path / "calm"), model, lambda id: None)
    moments = cycle(["store.before_commit", "release.before_commit", "store.after_commit"])
    killed = []

    def kill(id: str) -> None:
        killed.append(run(tmp_path / "killed", id, "step", next(moments)))

    shaken = contested(new_world(tmp_path / "killed"), model, kill)
    assert killed == [-9] * 3
    assert told(shaken) == told(calm)
    assert [one.kind for one in calm.history if one.kind != "wait"] == ["drop", "advance", "promote"]


def told(release):
    """Return every decision without the ids of versions, which are random."""
    return [
        (one.kind, one.reason, one.at_us, one.step, one.share, one.measured, one.immature,
         [(each.number, each.status, each.scores) for each in one.contenders])
        for one in release.history
        if one.kind != "wait"
    ]  # fmt: skip


def run(folder: Path, release: str, order: str, moment: str) -> int:
    environment = {**os.environ, "MAINSPRING_CRASH_AT": moment}
    return subprocess.run(
        [sys.executable, "-c", ACT, str(folder), release, order], env=environment, check=False
    ).returncode
