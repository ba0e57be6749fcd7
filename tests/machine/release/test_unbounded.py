"""Releases that are judged by amounts without bounds: from the declaration to the decision and its explanation."""

import msgspec
import pytest
from tests.machine.release.conftest import MODEL, World
from tests.machine.release.test_rehearsal import compared, differences

from mainspring.kernel.errors import Conflict, Refused
from mainspring.release.explain import explain
from mainspring.release.offpolicy.service import Asked, OffPolicyService
from mainspring.release.policy import ABTest, Bandit, Canary
from mainspring.release.policy.metrics import Reward
from mainspring.release.rehearsal.assumed import assumed
from mainspring.release.rehearsal.stage import Script

AMOUNTS = msgspec.structs.replace(MODEL.outcome, kind="float", affected_by_answer=True)
FREE = {"low": None, "high": None}
TEST = ABTest(share=0.5, horizon="20d", minimum_units=300, window="1d", **FREE)
BUYS_MORE, BUYS_LESS = 0.15, -0.15


@pytest.fixture
def selling(tmp_path):
    """A world whose outcomes are amounts that answers may change: 30 where something is bought."""
    made = World(tmp_path, rows_a_day=1_500, spec=msgspec.structs.replace(MODEL, outcome=AMOUNTS))
    made.worth = 30.0
    yield made
    made.store.close()


def started(world, model, policy, *others):
    world.champion(model(0.35))
    world.play(2)
    first, *rest = [world.version(answer).id for answer in (model(0.35), *others)]
    return world.releases.start(world.model, first, policy, by="ann", reason="sell more", others=rest)


def told_again(world, release):
    return [one.difference for one in world.releases.recompute(release.id) if one.equal is False]


def test_a_test_of_amounts_is_declared_forecast_decided_and_explained_as_asymptotic(selling, model) -> None:
    release = started(selling, model, TEST)
    assert release.forecast.reason.endswith("asymptotic: the metric has no bound")
    assert [gate.name for gate in release.terms.gates if gate.bound is None] == ["quality"]
    selling.label_shift = BUYS_MORE
    selling.play(0.7)
    early = selling.releases.get(release.id)
    assert early.decision.reason in ("no_evidence", "few_units", "withheld")
    selling.play(6)
    ended = selling.releases.get(release.id)
    assert (ended.status, ended.reason) == ("promoted", "better")
    quality = ended.decision.measured[0]
    assert (quality.asymptotic, quality.withheld, quality.matured >= 500) == (True, "", True)
    assert quality.low < 0 > quality.high
    assert ", asymptotic, against the champion's" in ended.decision.sentence
    told = "\n".join(explain(ended))
    assert "Without bounds: reward. There the stated errors are asymptotic" in told
    assert f"it is sharpest at {release.terms.gates[0].planned_units} units, as planned" in told
    promoted = selling.told("release.promoted")[0]
    assert promoted.numbers["measured"]["quality"]["asymptotic"] is True
    assert told_again(selling, ended) == []
    live, rehearsed = compared(selling, release)
    assert [one.reason for one in live] == ["began", "better"]
    assert live[-1].at_us >= rehearsed[0].at_us


def test_it_is_stopped_where_less_is_bought(selling, model) -> None:
    release = started(selling, model, TEST)
    selling.label_shift = BUYS_LESS
    selling.play(9)
    ended = selling.releases.get(release.id)
    assert (ended.status, ended.reason) == ("rolled_back", "quality_worse")
    assert told_again(selling, ended) == []


def test_one_buyer_who_is_most_of_what_is_uncertain_lets_nothing_pass_and_is_named(selling, model) -> None:
    release = started(selling, model, msgspec.structs.replace(TEST, horizon="7d"))
    selling.label_shift = BUYS_MORE
    selling.play(0.3)
    selling.worth = 1e6
    selling.play(0.02)
    selling.worth = 30.0
    selling.play(5.5)
    waits = selling.releases.get(release.id)
    quality = waits.decision.measured[0]
    assert (waits.status, waits.decision.reason) == ("running", "withheld")
    assert (quality.low, quality.high, quality.good_enough) == (None, None, False)
    assert quality.withheld.endswith("of all that is uncertain, more than 2%")
    assert f"with no interval yet: {quality.withheld}." in "\n".join(explain(waits))
    selling.play(3)
    ended = selling.releases.get(release.id)
    assert (ended.status, ended.reason) == ("returned", "deadline")
    assert f"(no interval: {quality.withheld})" in ended.decision.sentence


def test_a_guard_without_bounds_stops_and_while_nobody_can_read_it_nothing_passes(world, model) -> None:
    policy = Canary(shadow="8d", steps=[0.5], margin=0.05, hold="12h", minimum_units=300,
                    guards=[Reward(margin=0.3, **FREE)])  # fmt: skip
    release = started(world, model, policy)
    guard = release.terms.gate("reward")
    assert (guard.bound, guard.stop_margin) == (None, 0.3)
    assert guard.alpha_stop == release.terms.gate("failed").alpha_stop
    world.play(10)
    ended = world.releases.get(release.id)
    assert ended.status == "promoted"
    unread = [one for one in ended.history if one.stage == "canary" and "withheld" in one.waiting]
    assert unread
    assert any(one.sentence.startswith("reward has no asymptotic interval yet: ") for one in unread)
    read = next(one for one in ended.decision.measured if one.name == "reward")
    assert (read.withheld, read.asymptotic, read.matured >= 500) == ("", True, True)
    live, rehearsed = compared(world, release)
    assert differences(live, rehearsed) == []


def test_a_bandit_among_amounts_moves_to_whoever_earns_more_and_promotes_it(selling, model) -> None:
    rule = {"update": "6h", "horizon": "20d", "minimum_units": 200, "per": "request"}
    release = started(selling, model, Bandit(**rule, **FREE), model(0.35))
    best, other = (one.version for one in selling.releases.get(release.id).contenders)
    selling.effects = {best: 0.2, other: -0.1}
    selling.play(9)
    ended = selling.releases.get(release.id)
    assert (ended.status, ended.reason, ended.challenger) == ("promoted", "better", best)
    assert ended.decision.measured[0].asymptotic
    shares = [{one.version: one.share for one in then.contenders} for then in ended.history]
    assert max(then.get(best, 0.0) for then in shares) > 0.6
    assert told_again(selling, ended) == []


def test_a_policy_without_bounds_has_an_asymptotic_off_policy_value(selling, model) -> None:
    since = selling.clock.now_us()
    release = started(selling, model, msgspec.structs.replace(TEST, low=0.0, high=30.0, minimum_units=9_000))
    selling.label_shift = BUYS_MORE
    selling.play(6)
    values = OffPolicyService(
        registry=selling.registry, log=selling.log, releases=selling.releases, clock=selling.clock
    )
    asked = Asked({}, since, selling.clock.now_us(), policy=TEST, challengers=(release.challenger,))
    found = values.value(selling.model, asked)
    assert found.value.asymptotic
    assert ", asymptotic]" in found.sentence
    bandit = msgspec.structs.replace(asked, policy=Bandit(update="12h", horizon="6d", **FREE))
    assert values.value(selling.model, bandit).value.asymptotic
    exact = msgspec.structs.replace(asked, policy=ABTest(low=0.0, high=30.0))
    assert not values.value(selling.model, exact).value.asymptotic


def test_what_cannot_reach_five_hundred_units_an_arm_is_refused_at_the_start(selling, model) -> None:
    with pytest.raises(Refused, match="fewer than the 500 that a reward without bounds needs"):
        started(selling, model, msgspec.structs.replace(TEST, share=0.02, horizon="9d"))


def test_bounds_can_neither_be_dropped_nor_given_while_a_release_runs(selling, model) -> None:
    release = started(selling, model, TEST)
    with pytest.raises(Conflict, match="agreed before the first row"):
        selling.releases.change(
            release.id, msgspec.structs.replace(TEST, low=0.0, high=30.0), by="ann", reason="now I know"
        )


def test_a_rehearsal_says_that_its_errors_are_asymptotic(selling, model) -> None:
    release = started(selling, model, TEST)
    script = Script(release.terms, 0, 1, 1)
    assert any("metrics without bounds are asymptotic" in one for one in assumed(TEST, script, 0))
    assert not any("asymptotic" in one for one in assumed(TEST, msgspec.structs.replace(
        script, terms=msgspec.structs.replace(release.terms, gates=())), 0))  # fmt: skip
