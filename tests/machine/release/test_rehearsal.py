"""A rehearsal against live releases: the same rows, the same draw, the same decisions."""

import math

import numpy as np
import pytest

from mainspring.release.policy import Canary
from mainspring.release.policy.metrics import Failures, Reward, Slower
from mainspring.release.rehearsal.deck import Deck, answered_rows, deck, logged, unpacked
from mainspring.release.rehearsal.play import Play
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.stage import Script, Stage
from mainspring.serving.draw import draw

TURN_US = 8 * 3_600_000_000
QUICK = Canary(shadow="10d", steps=[0.2, 0.5], margin=0.03, hold="16h", minimum_units=200, deadline="20d")


def started(world, model, policy, **how):
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(0.3, **how))
    return world.releases.start(world.model, version.id, policy, by="ann", reason="go")


def dealt(world, release) -> tuple[Deck, np.ndarray]:
    """Return the deck of a release's rows, and the place of each row's unit in its draw."""
    since_us, until_us = release.started_us + 1, world.clock.now_us() + 1
    scored = world.log.scored(world.model, since_us=since_us, until_us=until_us)
    rows = answered_rows(world.log.requests(world.model, since_us, until_us), scored)
    said = {
        "stable": logged(rows, scored, release.champion),
        "challenger": logged(rows, scored, release.challenger),
    }
    return deck(rows, world.log.outcomes(world.model), said), np.array([draw(release.salt, u) for u in rows["unit"]])


def compared(world, release):
    """Return what was decided live, and by a rehearsal with the same draw."""
    release = world.releases.get(release.id)
    cards, place = dealt(world, release)
    assert unpacked(cards.packed()).rows == cards.rows
    script = Script(release.terms, release.started_us, world.clock.now_us(), TURN_US, takes_us=1)
    kept = []
    stage = Stage(cards, script)
    Play(stage, [Rival(stage, 0)], place).run(kept=kept)
    return [one for one in release.history if one.kind != "wait"], [one for one in kept if one.kind != "wait"]


def same(one, other) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(same(*both) for both in zip(one, other, strict=True))
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) if isinstance(one, float) else one == other


def differences(live, rehearsed):
    """Return where two lists of decisions differ, a field at a time."""
    found = []
    for one, other in zip(live, rehearsed, strict=True):
        pairs = [(one, other), *zip(one.measured, other.measured, strict=True)]
        found += [
            (getattr(a, "name", a), field, getattr(a, field), getattr(b, field))
            for a, b in pairs
            for field in a.__struct_fields__
            if field not in ("measured", "generations")  # a rehearsal has no gateways that count generations
            and not same(getattr(a, field), getattr(b, field))
        ]
    return found


@pytest.mark.parametrize("how", [{}, {"bias": 2.0}, {"failing": 0.25}])
def test_with_the_draw_of_a_live_release_a_rehearsal_decides_as_it_did(world, model, how) -> None:
    release = started(world, model, QUICK, **how)
    world.play(9)
    live, rehearsed = compared(world, release)
    assert len(live) == (3 if not how else 1)
    assert differences(live, rehearsed) == []


def test_it_does_with_further_metrics_and_guards(world, model) -> None:
    judged = {"metrics": (Slower("1s", margin=0.05),), "guards": (Failures(margin=0.2), Reward(margin=0.5))}
    policy = Canary(shadow="10d", steps=[0.5], margin=0.03, hold="3d", minimum_units=200, deadline="20d", **judged)
    release = started(world, model, policy, failing=0.003)
    world.play(11)
    live, rehearsed = compared(world, release)
    assert [one.kind for one in live] == ["advance", "promote"]
    assert {"slower_than_1s", "failures", "reward"} <= {one.name for one in live[-1].measured}
    assert differences(live, rehearsed) == []


def test_it_does_where_customers_come_back(returning, model) -> None:
    policy = Canary(shadow="6d", steps=[0.3, 0.6], margin=0.05, hold="2d", minimum_units=300, window="1d")
    release = started(returning, model, policy)
    returning.play(13)
    live, rehearsed = compared(returning, release)
    assert [one.kind for one in live] == ["advance", "advance", "promote"]
    assert differences(live, rehearsed) == []


def test_it_does_where_silence_is_an_outcome(silent, model) -> None:
    release = started(silent, model, QUICK)
    silent.play(9)
    live, rehearsed = compared(silent, release)
    assert len(live) == 3
    assert differences(live, rehearsed) == []
