"""Releases with a real store, registry and log: whole lives of challengers."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest
from sqlalchemy import insert

from mainspring.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from mainspring.kernel.schema import Column
from mainspring.ledger.queries import verify_chain
from mainspring.log.tables import boots
from mainspring.release.engine import decide
from mainspring.release.explain import explain
from mainspring.release.policy import BlueGreen, Canary, Immediate, Shadow
from mainspring.serving.routing import ModelRoute, ReleaseRoute, Routing, ShadowRoute

QUICK = Canary(shadow="14d", steps=[0.1, 0.5], margin=0.05, hold="12h", minimum_units=300)


def started(world, model, noise=0.3, recipe="default", policy=QUICK, **how):
    world.champion(model(0.35))
    world.play(2)
    version = world.version(model(noise, **how), recipe)
    return version, world.releases.start(world.model, version.id, policy, by="ann", reason="a newer one")


def test_the_first_champion_is_made_without_a_comparison_and_the_ledger_says_so(world, model) -> None:
    version = world.champion(model(0.3))
    entry = world.told("release.first_champion")[0]
    assert entry.reason == "the start: the first champion, nothing to compare it with"
    assert entry.numbers["comparison"] is None
    assert world.registry.alias(world.model, "champion").id == version.id
    assert world.registry.alias(world.model, "anchor").id == version.id
    with pytest.raises(Conflict, match="has a champion already"):
        world.releases.first_champion(world.model, version.id, by="ann", reason="again")


def test_a_refresh_that_is_not_worse_goes_through_its_steps_and_becomes_champion(world, model) -> None:
    version, release = started(world, model)
    world.play(6)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason) == ("promoted", "not_worse")
    assert world.registry.alias(world.model, "champion").id == version.id
    assert world.registry.alias(world.model, "anchor").number == 1
    assert world.registry.alias(world.model, "challenger") is None
    assert [entry.kind for entry in world.told()] == [
        "release.first_champion", "release.started", "release.advanced", "release.advanced", "release.promoted",
    ]  # fmt: skip
    promoted = world.told("release.promoted")[0].numbers
    assert promoted["measured"]["quality"]["e_promote"] >= 20.0
    assert promoted["evidence_waived"] is False
    with world.store.read() as connection:
        assert verify_chain(connection).verified


def test_a_new_recipe_that_is_worse_is_stopped_in_shadow_on_its_numbers(world, model) -> None:
    version, release = started(world, model, noise=1.2, recipe="last_month")
    world.play(4)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason, ended.step) == ("rolled_back", "quality_worse", 0)
    assert ended.decision.measured[0].e_stop >= 200.0
    assert world.registry.alias(world.model, "champion").number == 1
    assert version.number == 2


def test_a_challenger_that_fails_on_some_rows_is_stopped_in_shadow(world, model) -> None:
    _, release = started(world, model, failing=0.08, recipe="flaky")
    world.play(3)
    assert world.releases.get(release.id).reason == "failures"


def test_a_new_recipe_that_is_only_as_good_is_returned_at_its_deadline(world, model) -> None:
    policy = msgspec.structs.replace(QUICK, shadow="3d")
    _, release = started(world, model, noise=0.35, recipe="other", policy=policy)
    world.play(5)
    ended = world.releases.get(release.id)
    assert (ended.status, ended.reason, ended.decision.verdict) == ("returned", "undecided_in_shadow", "inconclusive")


def test_an_answer_that_moves_its_own_label_voids_paired_evidence(world, model) -> None:
    policy = msgspec.structs.replace(QUICK, steps=(0.5,), hold="6d")
    _, release = started(world, model, policy=policy)
    world.label_shift = 0.5
    world.play(9)
    assert world.releases.get(release.id).reason == "label_moved"


def test_a_release_counts_nothing_before_the_gateways_have_taken_it_up(world, model) -> None:
    version, _ = started(world, model)
    start_us = world.clock.now_us()
    world.play(0.5)
    fresh = world.version(model(0.3))
    other = world.releases.start(world.model, fresh.id, QUICK, by="ann", reason="another")
    assert other.generation is None
    assert world.releases.step(other.id, acknowledged_generation=0).reason == "not_acknowledged"
    empty = Routing(generation=3, written_us=start_us)
    assert world.releases.step(other.id, acknowledged_generation=3, routing=empty).reason == "not_acknowledged"
    route = ModelRoute("p", "demo", world.model, "late", "flight_id", "flight_id", None, (), version.id)
    shadowed = msgspec.structs.replace(route, shadows=(ShadowRoute(fresh.id, other.id),))
    routing = Routing(generation=4, written_us=start_us, models=(shadowed,))
    assert "not_acknowledged" in world.releases.step(other.id, acknowledged_generation=3, routing=routing).waiting
    assert "not_acknowledged" not in world.releases.step(other.id, acknowledged_generation=4, routing=routing).waiting
    assert world.releases.get(other.id).generation == 4


def test_a_canary_begins_when_the_routing_draws_its_share(world, model) -> None:
    _, release = started(world, model)
    while world.releases.get(release.id).stage == "shadow":
        world.play(0.25)
    now = world.releases.get(release.id)
    route = ModelRoute("p", "demo", world.model, "late", "flight_id", "flight_id", None, (), now.champion)
    other = ReleaseRoute(now.id, now.epoch, now.salt, now.challenger, 0.3)
    for drawn, waits in ((other, True), (msgspec.structs.replace(other, share=0.1), False)):
        routing = Routing(9, 0, (msgspec.structs.replace(route, release=drawn),))
        decision = world.releases.step(release.id, acknowledged_generation=9, routing=routing)
        assert ("not_acknowledged" in decision.waiting) == waits


def test_a_challenger_that_a_gateway_took_out_is_rolled_back(world, model) -> None:
    version, release = started(world, model)
    decision = world.releases.step(release.id, disabled={version.id: "5 of 5 requests failed"})
    assert (decision.kind, decision.reason) == ("roll_back", "tripwire")
    assert world.releases.get(release.id).over


def test_a_person_can_hold_resume_promote_and_roll_back_with_a_reason(world, model) -> None:
    version, release = started(world, model)
    assert world.releases.hold(release.id, by="ann", reason="a holiday").status == "held"
    assert (world.releases.step(release.id).reason, world.releases.get(release.id).status) == ("held", "held")
    assert world.releases.resume(release.id, by="ann", reason="back").status == "running"
    assert world.releases.promote(release.id, by="ann", reason="we must").status == "promoted"
    promoted = world.told("release.promoted")[0]
    assert (promoted.actor, promoted.numbers["evidence_waived"]) == ("ann", True)
    assert world.registry.alias(world.model, "champion").id == version.id
    assert world.releases.roll_back(release.id, by="bob", reason="it smells").status == "rolled_back"
    assert world.registry.alias(world.model, "champion").number == 1
    with pytest.raises(InvalidInput, match="reason"):
        world.releases.abort(release.id, by="ann", reason=" ")


def test_abort_takes_the_challenger_away_and_may_be_said_twice(world, model) -> None:
    _, release = started(world, model)
    assert world.releases.abort(release.id, by="ann", reason="enough").status == "aborted"
    assert world.registry.alias(world.model, "challenger") is None
    assert world.releases.abort(release.id, by="ann", reason="enough").status == "aborted"
    assert len(world.told("release.aborted")) == 1


def test_what_cannot_start_says_why(world, model) -> None:
    version = world.version(model(0.3))
    with pytest.raises(Refused, match="has no champion yet"):
        world.releases.start(world.model, version.id, QUICK, by="ann", reason="go")
    champion = world.champion(model(0.35))
    with pytest.raises(Conflict, match="is the champion already"):
        world.releases.start(world.model, champion.id, QUICK, by="ann", reason="go")
    world.releases.start(world.model, version.id, QUICK, by="ann", reason="go")
    with pytest.raises(Conflict, match="is in a running release"):
        world.releases.start(world.model, version.id, QUICK, by="ann", reason="go")
    with pytest.raises(NotFound, match="no such release"):
        world.releases.get("rel_x")


def test_a_policy_that_cannot_decide_by_its_deadline_is_refused(world, model) -> None:
    world.champion(model(0.35))
    world.play(3)
    version = world.version(model(0.3))
    with pytest.raises(Refused, match=r"cannot decide by its deadline: \d+ labelled units at"):
        world.releases.start(world.model, version.id, Canary(shadow="2d", margin=0.002), by="ann", reason="go")
    with pytest.raises(Refused, match="cannot decide by its deadline: a margin of 1e-07 is too narrow for a log_loss"):
        world.releases.start(world.model, version.id, Canary(margin=1e-7), by="ann", reason="go")
    forecast = world.releases.forecast(world.model, Canary())
    assert forecast.decidable is True
    assert 5.0 < forecast.shadow_days < 9.0


def test_without_traffic_there_is_no_forecast(world, model) -> None:
    world.champion(model(0.35))
    forecast = world.releases.forecast(world.model)
    assert (forecast.decidable, forecast.days, forecast.reason) == (None, None, "no labelled answers yet to judge by")


def test_an_immediate_release_needs_no_evidence_and_the_ledger_says_that_it_had_none(world, model) -> None:
    version, release = started(world, model, policy=Immediate())
    assert release.status == "promoted"
    entry = world.told("release.promoted")[0]
    assert entry.reason == "immediate: the policy asks for no evidence"
    assert entry.numbers["evidence_waived"] is True
    assert world.registry.alias(world.model, "champion").id == version.id


def test_a_shadow_policy_promotes_without_a_canary(world, model) -> None:
    _, release = started(world, model, policy=Shadow(margin=0.05, minimum_units=300))
    world.play(4)
    assert world.releases.get(release.id).status == "promoted"
    assert "release.advanced" not in [entry.kind for entry in world.told()]


def test_one_of_two_releases_draws_and_the_other_waits_then_starts_afresh_against_the_new_champion(
    world, model
) -> None:
    _, first = started(world, model, policy=msgspec.structs.replace(QUICK, hold="1d"))
    second_version = world.version(model(0.3))
    second = world.releases.start(world.model, second_version.id, QUICK, by="ann", reason="one more")
    seen = set()
    for _ in range(40):
        world.play(0.25)
        running = world.releases.running(world.model)
        assert sum(one.share > 0 for one in running) <= 1
        seen |= {word for one in running for word in (one.decision.waiting if one.decision else ())}
    assert "another_draws" in seen
    assert world.releases.get(first.id).status == "promoted"
    assert "rebase" in [one.kind for one in world.releases.get(second.id).history]
    assert world.releases.get(second.id).champion_number == 2


def test_a_refresh_must_also_hold_against_the_anchor(world, model) -> None:
    version, _ = started(world, model)
    world.play(6)
    assert world.registry.alias(world.model, "champion").id == version.id
    third = world.version(model(0.3))
    again = world.releases.start(world.model, third.id, QUICK, by="ann", reason="one more")
    assert again.anchor is not None
    assert set(again.shadows) == {third.id, again.anchor}
    world.play(3)
    names = [one.name for one in world.releases.get(again.id).evidence]
    assert names[:2] == ["quality", "quality_against_anchor"]


def test_an_extra_look_changes_nothing(world, model) -> None:
    _, release = started(world, model)
    world.play(0.75)
    before = world.releases.get(release.id)
    world.releases.step(release.id)
    after = world.releases.get(release.id)
    assert after.evidence == before.evidence
    assert len(after.history) == len(before.history)


def test_a_few_hours_of_traffic_refuse_nothing(world, model) -> None:
    world.champion(model(0.35))
    world.play(0.75)
    assert world.releases.forecast(world.model, Canary()).decidable is None


def test_what_a_shadow_of_another_recipe_showed_does_not_forecast_this_one(world, model) -> None:
    _, wild = started(world, model, noise=1.5, recipe="wild")
    world.play(3)
    assert world.releases.get(wild.id).over
    assert world.releases.forecast(world.model, Canary()).decidable is True


def test_where_only_what_happened_is_told_a_challenger_that_always_cries_wolf_is_stopped(silent, model) -> None:
    _, release = started(silent, model, bias=1.5)
    assert release.terms.absent_is_negative
    assert release.terms.horizon_us == 36 * 3_600_000_000
    silent.play(5)
    ended = silent.releases.get(release.id)
    assert (ended.status, ended.reason) == ("rolled_back", "quality_worse")
    assert ended.decision.labelled_share == 1.0


def test_undoing_a_new_recipe_gives_the_anchor_back_to_the_version_that_had_it(world, model) -> None:
    world.champion(model(0.35))
    world.play(2)
    for recipe, policy in (("default", QUICK), ("bold", Immediate())):
        version = world.version(model(0.3), recipe)
        release = world.releases.start(world.model, version.id, policy, by="ann", reason="next")
        world.play(6)
    assert [world.registry.alias(world.model, alias).number for alias in ("champion", "anchor")] == [3, 3]
    world.releases.roll_back(release.id, by="ann", reason="too bold")
    assert [world.registry.alias(world.model, alias).number for alias in ("champion", "anchor")] == [2, 1]


def test_a_challenger_that_needs_more_than_requests_carry_is_refused(world, model) -> None:
    carried = (Column("id", "str"), Column("x", "float"))
    world.releases.first_champion(
        world.model, world.version(model(0.3), requested=carried).id, by="test", reason="the start"
    )
    greedy = world.version(model(0.3), requested=(*carried, Column("age", "int")))
    with pytest.raises(Refused, match="takes age, which requests to the champion do not carry"):
        world.releases.start(world.model, greedy.id, QUICK, by="ann", reason="go")
    assert world.releases.start(world.model, greedy.id, Immediate(), by="ann", reason="go").status == "promoted"


def estimates(world, model, **how):
    """Return a version's answers as amounts."""
    chances = model(**how)
    return lambda chance, random: world.worth * chances(chance, random)


ERRORS = Canary(shadow="14d", steps=[0.5], metric="squared_error", bound=900.0, margin=20.0, hold="12h")


@pytest.mark.parametrize(
    ("bias", "status", "reason"), [(0.0, "promoted", "not_worse"), (2.0, "rolled_back", "quality_worse")]
)
def test_estimates_are_judged_by_a_bounded_error(amounts, model, bias, status, reason) -> None:
    amounts.champion(estimates(amounts, model, sd=0.35))
    amounts.play(2)
    version = amounts.version(estimates(amounts, model, sd=0.3, bias=bias))
    release = amounts.releases.start(amounts.model, version.id, ERRORS, by="ann", reason="a newer one")
    assert (release.terms.estimator, release.terms.loss.bound) == ("paired", 900.0)
    amounts.play(7)
    ended = amounts.releases.get(release.id)
    assert (ended.status, ended.reason) == (status, reason)
    assert ended.decision.measured[0].winsorised == 0


@pytest.mark.parametrize(
    ("bias", "status", "reason"), [(0.0, "promoted", "not_worse"), (2.0, "rolled_back", "quality_worse")]
)
def test_estimates_are_judged_by_an_error_without_a_bound_and_everything_that_tells_of_it_says_asymptotic(
    amounts, model, bias, status, reason
) -> None:
    amounts.champion(estimates(amounts, model, sd=0.35))
    amounts.play(2)
    version = amounts.version(estimates(amounts, model, sd=0.3, bias=bias))
    policy = msgspec.structs.replace(ERRORS, bound=None)
    release = amounts.releases.start(amounts.model, version.id, policy, by="ann", reason="a newer one")
    assert release.terms.loss.bound is None
    assert release.forecast.reason.endswith("asymptotic: the metric has no bound")
    amounts.play(7)
    ended = amounts.releases.get(release.id)
    assert (ended.status, ended.reason) == (status, reason)
    measured = ended.decision.measured[0]
    assert (measured.name, measured.asymptotic, measured.withheld) == ("quality", True, "")
    told = "\n".join(explain(ended))
    assert "(asymptotic); both versions score every row" in told
    assert "Without bounds: squared error. There the stated errors are asymptotic" in told
    assert "], asymptotic, on " in told
    assert [one.difference for one in amounts.releases.recompute(release.id) if one.equal is False] == []


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (Canary(margin=0.02), "metric"),
        (Shadow(metric="brier"), "metric"),
        (BlueGreen(metric="error"), "metric"),
    ],
)
def test_estimates_are_not_judged_as_chances_wherever_the_policy_comes_from(amounts, model, policy, field) -> None:
    amounts.champion(estimates(amounts, model, sd=0.35))
    version = amounts.version(estimates(amounts, model, sd=0.3))
    with pytest.raises((Refused, InvalidInput)) as set_by_hand:
        amounts.releases.set_policy(amounts.model, policy, by="ann", reason="another metric")
    with pytest.raises((Refused, InvalidInput)) as started_by_hand:
        amounts.releases.start(amounts.model, version.id, policy, by="ann", reason="a newer one")
    assert (set_by_hand.value.field, started_by_hand.value.field) == (field, field)
    assert amounts.releases.running(amounts.model) == []


def test_a_champion_that_is_replaced_by_hand_at_that_moment_is_not_promoted_over(world, model, monkeypatch) -> None:
    _, release = started(world, model)
    other = world.version(model(0.3))

    def slow(terms, state, evidence, facts, now_us):
        decision = decide(terms, state, evidence, facts, now_us)
        if decision.kind == "promote":
            with world.store.begin("ben") as tx:
                world.registry.point(tx, world.model, "champion", other.id, "by hand")
        return decision

    monkeypatch.setattr("mainspring.release.service.decide", slow)
    with pytest.raises(Conflict, match="champion: was replaced at the same time"):
        world.play(6)
    assert world.registry.alias(world.model, "champion").id == other.id
    assert world.releases.step(release.id).reason == "champion_changed"
    assert world.releases.get(release.id).status == "returned"


def test_rows_logged_under_best_effort_are_no_evidence_and_the_release_says_so(world, model) -> None:
    with world.store.bookkeeping() as connection:  # every prediction's id of this world begins with this boot
        connection.execute(insert(boots).values(boot="p", acknowledgement="best_effort", batch_ms=5, seen_us=0))
    _, release = started(world, model)
    world.play(6)
    stands = world.releases.get(release.id)
    assert (stands.status, stands.stage, stands.evidence) == ("running", "shadow", ())
    assert "rows were logged under best_effort, which cannot promote" in stands.decision.sentence


def test_outcomes_that_come_after_the_horizon_are_said_where_units_are_too_few(world, model) -> None:
    world.late_us = 10 * 86_400_000_000
    _, release = started(world, model)
    world.play(14)
    stands = world.releases.get(release.id)
    assert stands.stage == "shadow"
    assert "outcomes came too late" in stands.decision.sentence


def test_an_order_to_stop_never_loses_against_another_order_of_the_same_moment(world, model) -> None:
    _, release = started(world, model)
    together = Barrier(8)

    def order(number: int) -> str:
        together.wait(timeout=60)
        stop = world.releases.abort if number else world.releases.hold
        try:
            return stop(release.id, by=f"person {number}", reason="stop it").status
        except Conflict as conflict:
            return conflict.sentence()

    with ThreadPoolExecutor(8) as people:
        said = list(people.map(order, range(8)))
    assert said[1:] == ["aborted"] * 7
    assert said[0] in ("held", "aborted", "release: the release is over: aborted; start another one")
    assert len(world.told("release.aborted")) == 1


def test_an_order_on_a_release_that_was_changed_meanwhile_says_where_to_look(world, model) -> None:
    _, release = started(world, model)
    record, changes = world.releases._records.load(release.id)
    world.releases.hold(release.id, by="ann", reason="wait")
    with pytest.raises(Conflict) as conflict, world.store.begin("bob") as tx:
        world.releases._records.save(tx.connection, record, changes)
    assert conflict.value.remedy == f"look at it with: mainspring release show {release.id}, and ask again"
