"""Rehearsals: the same answer from 1,000 plays as from 200, and the same as releases that really ran."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import update
from tests.machine.release.conftest import World, noisy
from tests.statistics.simulate import LONG
from tests.statistics.test_release_year import DAYS, HOUR_US, cards, terms

from mainspring.registry.tables import projects
from mainspring.release.policy import Canary
from mainspring.release.rehearsal.deck import Deck, answered_rows, deck, logged
from mainspring.release.rehearsal.fault import Faults
from mainspring.release.rehearsal.rehearse import rehearse
from mainspring.release.rehearsal.report import count
from mainspring.release.rehearsal.stage import Script
from mainspring.release.release import Release

LARGEST_Z = 3.3
TURN_US = 8 * 3_600_000_000
LIVE = 200 if LONG else 4


def z(hits: int, runs: int, other_hits: int, other_runs: int) -> float:
    """Return the two-proportion z; nothing differs where both are all or none."""
    pooled = (hits + other_hits) / (runs + other_runs)
    if pooled in (0.0, 1.0):
        return 0.0
    return (hits / runs - other_hits / other_runs) / math.sqrt(pooled * (1 - pooled) * (1 / runs + 1 / other_runs))


@pytest.fixture(scope="module")
def busy() -> Script:
    """A canary that must have answered 38 requests in its time, which chance alone decides."""
    agreed = msgspec.structs.replace(terms(), steps=(0.1,), step_requests=38, deadline_us=60 * HOUR_US)
    return Script(agreed, 0, DAYS * 24 * HOUR_US, 3 * HOUR_US)


def test_a_thousand_plays_say_what_two_hundred_others_say(busy) -> None:
    deck = cards(np.random.default_rng(1), same=False, failing=0.0)
    many, few = count(rehearse(deck, busy, 1_000, 1)), count(rehearse(deck, busy, 200, 2))
    assert 0.2 < many.promotion.share < 0.8  # else the comparison would be vacuous
    for name in ("promotion", "rollback", "inconclusive"):
        one, other = getattr(many, name), getattr(few, name)
        assert abs(z(one.plays, 1_000, other.plays, 200)) < LARGEST_Z
    assert many.promotion.standard_error == pytest.approx(
        math.sqrt(many.promotion.share * many.inconclusive.share / 1_000)
    )
    apart = many.exposed_rows.mean - few.exposed_rows.mean
    assert abs(apart) < LARGEST_Z * math.hypot(many.exposed_rows.standard_error, few.exposed_rows.standard_error)


def test_other_rows_give_another_answer(busy) -> None:
    """The control: what is compared above would not agree if plays were not of the same rows."""
    shares = []
    for rows in (1_300, 1_700):
        deck = cards(np.random.default_rng(rows), same=False, failing=0.0, rows=rows)
        shares.append(count(rehearse(deck, busy, 200, 1)).promotion.plays)
    assert abs(z(shares[0], 200, shares[1], 200)) > LARGEST_Z


def test_the_power_to_see_an_injected_fault_grows_with_it() -> None:
    deck = cards(np.random.default_rng(2), same=False, failing=0.0)
    stopped = []
    for errors in (0.0, 0.03, 0.05, 0.3):
        script = Script(terms(), 0, DAYS * 24 * HOUR_US, 3 * HOUR_US, faults=Faults(errors=errors))
        stopped.append(count(rehearse(deck, script, 60, 1)).rollback.share)
    assert stopped[0] == 0.0
    assert stopped[-1] == 1.0
    assert stopped == sorted(stopped)
    assert 0.0 < stopped[1] < 1.0 or 0.0 < stopped[2] < 1.0


POLICY = Canary(
    shadow="4d", steps=[0.1], margin=0.2, hold="16h", minimum_units=100, step_requests=44, deadline="5d",
)  # fmt: skip
ROWS_A_DAY = 130


def world_named(folder: Path, name: str) -> World:
    """Return a world with the same traffic as any other, whose releases draw by a salt of their own."""
    folder.mkdir()
    world = World(folder, rows_a_day=ROWS_A_DAY)
    with world.store.bookkeeping() as connection:
        connection.execute(update(projects).values(name=name))
    return world


def began(world: World) -> Release:
    world.champion(noisy(0.35))
    world.play(2)
    version = world.version(noisy(0.3))
    return world.releases.start(world.model, version.id, POLICY, by="ann", reason="go")


def test_releases_that_really_ran_on_the_same_traffic_end_as_often_so(tmp_path: Path) -> None:
    ends, dealt, script = [], None, None
    for number in range(LIVE):
        world = world_named(tmp_path / str(number), f"shop {number}")
        release = began(world)
        world.play(9)
        ends.append(world.releases.get(release.id).status)
        if ends[-1] == "returned":  # it ran longest, so both versions have scored every row that any other has met
            dealt = deal(world, release)
            script = Script(release.terms, release.started_us, world.clock.now_us(), TURN_US, takes_us=1)
        world.store.close()
    found = count(rehearse(dealt, script, 1_000, 1))
    print(f"live: {ends.count('promoted')} of {LIVE} promoted; rehearsed: {found.promotion.share:.1%}")
    assert 0.15 < found.promotion.share < 0.85
    for status, chance in (("promoted", found.promotion), ("returned", found.inconclusive)):
        assert abs(z(ends.count(status), LIVE, chance.plays, 1_000)) < LARGEST_Z


def deal(world: World, release: Release) -> Deck:
    since_us, until_us = release.started_us + 1, world.clock.now_us() + 1
    scored = world.log.scored(world.model, since_us=since_us, until_us=until_us)
    rows = answered_rows(world.log.requests(world.model, since_us, until_us), scored)
    said = {"stable": logged(rows, scored, release.champion), "challenger": logged(rows, scored, release.challenger)}
    return deck(rows, world.log.outcomes(world.model), said)
