"""What stops a release or keeps it waiting beside its quality, on the log as it is written."""

import msgspec
import pytest

from mainspring.release.policy import Approval, Canary, Shadow

CANARY = Canary(shadow="6d", steps=[0.5], margin=0.05, hold="6d", minimum_units=200, deadline="30d")


def started(world, model, policy=CANARY, **how):
    """Start a release that differs little in quality, with traffic enough that a guard speaks soon."""
    world.champion(model(0.35))
    world.rows_a_day = 1_800
    world.play(1)
    return world.releases.start(world.model, world.version(model(0.33, **how)).id, policy, by="ann", reason="go")


def in_canary(world, release) -> None:
    while world.releases.get(release.id).stage == "shadow":
        world.play(1 / 3)
    assert world.releases.get(release.id).stage == "canary"


def ended(world, release) -> tuple[str, str]:
    found = world.releases.get(release.id)
    return found.status, found.reason


def test_late_answers_in_shadow_stop_it_though_nobody_waited_for_them(world, model) -> None:
    release = started(world, model)
    world.late = {release.challenger: 0.15}
    world.play(2)
    assert ended(world, release) == ("rolled_back", "late")
    assert [one.name for one in world.releases.get(release.id).evidence if one.stops] == ["shadow_late"]


def test_late_answers_to_drawn_units_stop_it(world, model) -> None:
    release = started(world, model)
    in_canary(world, release)
    world.late = {release.challenger: 0.15}
    world.play(4)
    assert ended(world, release) == ("rolled_back", "late")
    assert "late" in [one.name for one in world.releases.get(release.id).evidence if one.stops]


def test_units_that_are_drawn_and_do_not_arrive_show_in_the_sample_ratio_at_assignment(world, model) -> None:
    release = started(world, model)
    in_canary(world, release)
    world.lost = {release.challenger: 0.4}
    world.play(3)
    assert ended(world, release) == ("rolled_back", "sample_ratio")
    ratio = next(one for one in world.releases.get(release.id).evidence if one.name == "sample_ratio")
    assert ratio.estimate < -0.05


def test_labels_that_are_lost_on_one_side_show_in_the_sample_ratio_after_the_label_join(world, model) -> None:
    release = started(world, model)
    in_canary(world, release)
    world.untold = {release.challenger: 0.7}
    world.play(5)
    assert ended(world, release) == ("rolled_back", "sample_ratio_labelled")
    measured = {one.name: one for one in world.releases.get(release.id).evidence}
    assert not measured["sample_ratio"].stops  # all of them were drawn and met as stated
    assert abs(measured["sample_ratio"].estimate) < 0.05


def test_answers_that_change_how_many_outcomes_become_known_stop_a_release_judged_on_drawn_units(
    affecting, model
) -> None:
    policy = msgspec.structs.replace(CANARY, margin=0.4)
    release = started(affecting, model, policy)
    in_canary(affecting, release)
    affecting.untold = {release.challenger: 0.4}
    affecting.play(5)
    assert ended(affecting, release) == ("rolled_back", "labelled_share_moved")


def test_nothing_is_promoted_on_outcomes_that_have_ceased_to_come(world, model) -> None:
    policy = Shadow(shadow="20d", margin=0.05, minimum_units=300, approval=Approval())
    release = started(world, model, policy)
    world.play(4)
    assert world.releases.get(release.id).decision.waiting == ("approval",)
    world.tells = False
    world.play(4)
    waiting = world.releases.get(release.id).decision
    assert waiting.waiting == ("stale", "approval")
    assert all(one.good_enough for one in waiting.measured if one.role == "metric")
    world.releases.approve(release.id, by="bob (user)", reason="seen")
    world.play(1)
    assert world.releases.get(release.id).decision.reason == "stale"
    world.tells = True
    world.play(1)
    assert ended(world, release) == ("promoted", "not_worse")


def test_a_shadow_that_scores_half_the_rows_is_not_relied_on(world, model) -> None:
    world.sample = 0.5
    release = started(world, model)
    world.play(4)
    waiting = world.releases.get(release.id)
    assert (waiting.stage, waiting.decision.reason) == ("shadow", "shadow_incomplete")
    assert waiting.decision.coverage == pytest.approx(0.5, abs=0.05)


def test_everything_that_a_decision_rests_on_stands_in_its_ledger_entry(world, model) -> None:
    release = started(world, model, msgspec.structs.replace(CANARY, hold="12h"))
    world.play(8)
    assert ended(world, release) == ("promoted", "not_worse")
    promoted = world.told("release.promoted")[0]
    numbers = promoted.numbers
    assert promoted.actor == "loop"
    assert (numbers["policy_digest"], numbers["terms_digest"]) == (release.policy_digest, release.terms.digest())
    assert (numbers["waiting"], numbers["generations"], numbers["share"]) == ([], [0, 0], 0.0)
    assert numbers["units"] > numbers["measured"]["quality"]["n"] > 1_000
    assert numbers["immature"] > 0
    quality = numbers["measured"]["quality"]
    assert quality["low"] < quality["estimate"] < quality["high"]
    assert (quality["promote_limit"], quality["promote_at"]) == (0.05, 20.0)
    assert quality["e_promote"] >= 20.0
    assert numbers["measured"]["failed"]["stop_limit"] == 0.01
    advanced = world.told("release.advanced")[0].numbers
    assert (advanced["share"], advanced["stage"], advanced["reason"]) == (0.5, "canary", "shadow_passed")
