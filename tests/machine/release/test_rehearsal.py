"""A rehearsal against live releases: the same rows, the same draw, the same decisions."""

import math

import msgspec
import numpy as np
import pytest

from mainspring.release.policy import ABTest, Bandit, BlueGreen, Canary, ChampionChallenger, Immediate
from mainspring.release.policy.metrics import Failures, Reward, Slower
from mainspring.release.rehearsal.deck import Deck, answered_rows, deck, logged, unpacked
from mainspring.release.rehearsal.play import Play
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.stage import Script, Stage
from mainspring.serving.draw import draw

TURN_US = 8 * 3_600_000_000
QUICK = Canary(shadow="10d", steps=[0.2, 0.5], margin=0.03, hold="16h", minimum_units=200, deadline="20d")


def started(world, model, policy, *others, **how):
    world.champion(model(0.35))
    world.play(2)
    first, *rest = [world.version(answer).id for answer in (model(0.3, **how), *others)]
    return world.releases.start(world.model, first, policy, by="ann", reason="go", others=rest)


def dealt(world, release) -> tuple[Deck, np.ndarray]:
    """Return the deck of a release's rows, and the place of each row's unit in its draw."""
    since_us, until_us = release.started_us + 1, world.clock.now_us() + 1
    scored = world.log.scored(world.model, since_us=since_us, until_us=until_us)
    rows = answered_rows(world.log.requests(world.model, since_us, until_us), scored)
    first, *others = versions(release)
    said = {"stable": logged(rows, scored, release.champion), "challenger": logged(rows, scored, first)}
    cards = deck(rows, world.log.outcomes(world.model), said, tuple(logged(rows, scored, one) for one in others))
    rule = release.terms.allocation
    keys = [f"{id}.0" for id in rows["prediction_id"]] if rule and rule.per == "request" else rows["unit"]
    return cards, np.array([draw(release.salt, key) for key in keys])


def versions(release) -> list[str]:
    return [one.version for one in release.contenders] or [release.challenger]


def compared(world, release):
    """Return what was decided live, and by a rehearsal with the same draw."""
    release = world.releases.get(release.id)
    cards, place = dealt(world, release)
    assert unpacked(cards.packed()).rows == cards.rows
    numbers = [one.number for one in release.contenders] or [release.challenger_number]
    script = Script(release.terms, release.started_us, world.clock.now_us(), TURN_US, takes_us=1,
                    versions=tuple(versions(release)), numbers=tuple(numbers))  # fmt: skip
    kept = []
    stage = Stage(cards, script)
    rivals = [Rival(stage, place) for place in range(len(numbers))]
    Play(stage, rivals, place, salt=release.salt).run(kept=kept)
    return [one for one in release.history if one.kind != "wait"], [one for one in kept if one.kind != "wait"]


COUNTED_BY_THE_LOG = ("pending", "newest_label_us")  # shown of what has not come yet, which no play deals


def same(one, other) -> bool:
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        fields = [field for field in one.__struct_fields__ if field not in COUNTED_BY_THE_LOG]
        return all(same(getattr(one, field), getattr(other, field)) for field in fields)
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


def test_it_does_while_an_old_version_is_kept(world, model) -> None:
    release = started(world, model, BlueGreen(keep="3d", metric="log_loss"))
    world.play(5)
    live, rehearsed = compared(world, release)
    assert [(one.kind, one.reason) for one in live] == [("advance", "switched"), ("promote", "kept")]
    assert {"quality", "shadow_failed", "shadow_late"} <= {one.name for one in live[-1].measured}
    assert differences(live, rehearsed) == []


@pytest.mark.parametrize(("precision", "reason"), [(0.2, "precise"), (0.01, "deadline")])
def test_of_many_plays_each_ends_by_its_precision_as_a_live_test_does(world, model, precision, reason) -> None:
    policy = ABTest(horizon="6d", minimum_units=100, window="1d", precision=precision)
    release = started(world, model, policy)
    world.play(9)
    live, _ = compared(world, release)
    cards, place = dealt(world, release)
    script = Script(release.terms, release.started_us, world.clock.now_us(), TURN_US, takes_us=1,
                    versions=tuple(versions(release)), numbers=(release.challenger_number,))  # fmt: skip
    stage = Stage(cards, script)
    ended, _ = Play(stage, [Rival(stage, 0)], place, salt=release.salt).run()  # keeps no decisions, as one of many
    assert (live[-1].reason, ended.status, ended.reason) == (reason, "returned", reason)
    assert release.started_us + ended.after_us == live[-1].at_us


def test_it_does_where_an_old_version_is_switched_back_to(world, model) -> None:
    release = started(world, model, BlueGreen(keep="5d"), failing=0.2)
    world.play(3)
    live, rehearsed = compared(world, release)
    assert live[-1].kind == "roll_back"
    assert differences(live, rehearsed) == []


def test_it_does_in_a_test_of_rewards(world, model) -> None:
    policy = ABTest(share=0.4, horizon="5d", minimum_units=100, window="1d", guards=(Slower("1s", margin=0.05),))
    release = started(world, model, policy)
    world.play(8)
    live, rehearsed = compared(world, release)
    assert [(one.kind, one.reason) for one in live] == [("advance", "began"), ("return", "deadline")]
    assert {"quality", "labelled", "failed", "slower_than_1s"} <= {one.name for one in live[-1].measured}
    assert differences(live, rehearsed) == []


@pytest.mark.parametrize("per", ["request", "episode"])
def test_it_does_under_a_bandit_of_three(returning, model, per) -> None:
    rule = {"update": "16h", "horizon": "6d", "minimum_units": 100, "window": "4h", "half_life": "3d"}
    release = started(returning, model, Bandit(per=per, **rule), model(0.35))
    returning.play(8)
    live, rehearsed = compared(returning, release)
    assert [one.kind for one in live][:2] == ["advance", "reweigh"]
    assert len({one.share for one in live}) > 2
    assert live[-1].reason == "deadline"
    assert differences(live, rehearsed) == []


def test_it_does_where_several_challengers_are_compared_and_the_best_goes_on(world, model) -> None:
    policy = ChampionChallenger(shadow="20d", shadow_at_least="3d", margin=0.05, steps=[0.5], hold="16h",
                                minimum_units=300)  # fmt: skip
    release = started(world, model, policy, model(0.1), model(0.1, bias=3.0))
    world.rows_a_day = 2_000
    world.play(7)
    live, rehearsed = compared(world, release)
    assert [one.kind for one in live] == ["drop", "advance", "promote"]
    assert differences(live, rehearsed) == []


def test_an_immediate_release_is_over_with_its_start(world, model) -> None:
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(0.3))
    started_us = world.clock.now_us()
    release = world.releases.start(world.model, version.id, Immediate(), by="ann", reason="go")
    world.play(1)
    live, rehearsed = compared(world, release)
    assert [(one.kind, one.reason, one.sentence, one.at_us) for one in live] == [
        (one.kind, one.reason, one.sentence, one.at_us) for one in rehearsed
    ]
    assert live[0].at_us == started_us


def test_units_that_are_held_out_meet_the_champion_in_every_play(world, model) -> None:
    release = started(world, model, BlueGreen(keep="3d"))
    world.play(5)
    release = world.releases.get(release.id)
    cards, place = dealt(world, release)
    held = np.arange(cards.rows) % 4 == 0
    script = Script(release.terms, release.started_us, world.clock.now_us(), TURN_US)
    exposed = []
    for mask in (None, held):
        stage = Stage(msgspec.structs.replace(cards, held=mask), script)
        exposed.append(Play(stage, [Rival(stage, 0)], place).run()[0].exposed_rows)
    assert exposed[1] == pytest.approx(0.75 * exposed[0], abs=1)
