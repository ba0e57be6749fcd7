"""What was decided on, worked out again from the log."""

from datetime import timedelta

import msgspec
import polars as pl
import pytest
from sqlalchemy import delete, select, update
from tests.machine.release.test_rehearsal import QUICK, started

from mainspring.kernel.errors import Damaged
from mainspring.log.rows import SCHEMAS
from mainspring.release.explain import explain
from mainspring.release.history import History
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Shadow,
    metrics,
    policy_digest,
)
from mainspring.release.tables import policies, release_decisions, release_policies


@pytest.mark.parametrize("how", [{}, {"failing": 0.25}])
def test_every_stored_decision_is_found_again_in_the_log(world, model, how) -> None:
    release = started(world, model, QUICK, **how)
    world.play(9)
    found = world.releases.recompute(release.id)
    assert [one.difference for one in found] == [""] * len(found)
    assert all(one.equal for one in found)
    assert len(found) >= (6 if not how else 1)
    assert found[-1].kind == ("promote" if not how else "roll_back")
    assert found[-1].measured[0].n > 0


def test_it_is_where_customers_come_back(returning, model) -> None:
    policy = Canary(shadow="6d", steps=[0.3, 0.6], margin=0.05, hold="2d", minimum_units=300, window="1d")
    release = started(returning, model, policy)
    returning.play(13)
    found = returning.releases.recompute(release.id)
    assert {one.difference for one in found} == {""}
    assert found[-1].kind == "promote"


def test_it_is_where_quality_is_drawn(affecting, model) -> None:
    wide = Canary(shadow="4d", steps=[0.5], margin=0.2, hold="12h", minimum_units=300, deadline="20d")
    release = started(affecting, model, wide)
    affecting.play(9)
    assert {one.difference for one in affecting.releases.recompute(release.id)} == {""}


def test_a_log_that_was_changed_afterwards_is_noticed_by_the_first_number_that_differs(world, model) -> None:
    release = started(world, model, QUICK)
    world.play(9)
    row = world.log.scored(world.model, [release.challenger]).row(400, named=True)
    forged = {"prediction_id": "p-forged", "row": 0, "model": world.model, "entity": "forged"}
    moment = {"decision_us": row["decision_us"], "generation": 1, "latency_us": 1}
    for version, output in ((release.champion, 0.01), (release.challenger, 0.99)):
        said = {"version": version, "role": "shadow", "status": "ok", "output": output, "release": "", "reason": ""}
        world.put("scored", pl.DataFrame([{**forged, **moment, **said}]).drop("entity"))
    world.put("requests", pl.DataFrame([{**forged, **moment, "unit": "forged", "body": "{}", "receipt_us": 0}]).drop(
        "generation", "latency_us"))  # fmt: skip
    known = {"value": 0.0, "event_us": row["decision_us"] + 1, "known_us": row["decision_us"] + 1}
    world.put("outcomes", pl.DataFrame([{**forged, **known}]).drop("prediction_id", "row"))
    found = world.releases.recompute(release.id)
    assert found[-1].equal is False
    assert found[-1].difference.startswith("quality: n was ")


# every strategy

CONTEST = ChampionChallenger(shadow="14d", shadow_at_least="2d", steps=[0.5], margin=0.05, hold="12h",
                             minimum_units=300, deadline="20d")  # fmt: skip
QUIET = Shadow(shadow="12d", margin=0.05, minimum_units=3_000)
DRAWS = Bandit(per="request", update="6h", horizon="12d", minimum_units=300, floor=0.1, confidence=0.9)
STRATEGIES = {
    "champions": (CONTEST, (0.3, 0.5, 3.0), {}),
    "thompson": (DRAWS, (0.35, 0.35), {}),
    "top two, fading": (msgspec.structs.replace(DRAWS, algorithm="top_two", half_life="3d"), (0.35, 0.35), {}),
    "blue green": (BlueGreen(keep="2d", metric="log_loss"), (0.3,), {}),
    "blue green, worse": (BlueGreen(keep="4d", metric="log_loss"), (2.5,), {}),
    "a/b test": (ABTest(share=0.5, horizon="5d", window="1d", minimum_units=300, precision=0.2), (0.35,), {}),
    "a/b test, slower": (
        ABTest(share=0.5, horizon="8d", window="1d", guards=[metrics.slower_than("1ms", margin=0.05)]), (0.35,),
        {"latency_us": 5_000},
    ),
    "a label that moves": (Canary(shadow="4d", steps=[0.5], margin=0.2, hold="8d", minimum_units=300), (0.3,),
                           {"label_shift": 0.25}),
}  # fmt: skip


def played(world, model, policy, sds, *, latency_us=0, label_shift=0.0, days=8):
    world.champion(model(0.35))
    world.rows_a_day = 1_200
    world.play(1)
    first, *others = [world.version(model(sd)).id for sd in sds]
    if latency_us:
        world.latency_us = {first: latency_us}
    world.label_shift = label_shift
    if isinstance(policy, Bandit):
        world.effects = {first: 0.12}
    release = world.releases.start(world.model, first, policy, by="ann", reason="go", others=others)
    world.play(days)
    return release


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_decisions_of_every_strategy_are_found_again_in_the_log(world, model, strategy) -> None:
    policy, sds, how = STRATEGIES[strategy]
    release = played(world, model, policy, sds, **how)
    found = world.releases.recompute(release.id)
    assert [one for one in found if one.equal is False] == []
    ended = world.releases.get(release.id)
    assert ended.over, ended.decision
    compared = [one for one in found if one.equal]
    assert compared
    assert all(one.difference for one in found if one.equal is None)
    if isinstance(policy, Bandit):
        moved = [one for one in found if one.kind == "reweigh"]
        assert moved
        assert all(one.shares for one in moved)


def test_what_was_compared_with_a_champion_before_a_rebase_is_found_again_too(world, model) -> None:
    release = started(world, model, QUICK)
    world.play(1)
    other = world.version(model(0.33), recipe="another")
    with world.store.begin("ben") as tx:
        world.registry.point(tx, world.model, "champion", other.id, "by hand")
    world.play(3)
    found = world.releases.recompute(release.id)
    kinds = [one.kind for one in found]
    before = found[: kinds.index("rebase") + 1]
    assert before[0].measured
    assert [one.difference for one in found] == [""] * len(found)
    assert before[-1].reason == "champion_changed"


def test_a_release_that_was_approved_held_and_taken_out_says_whose_word_it_was(world, model) -> None:
    asked = Canary(shadow="6d", steps=[0.5], margin=0.05, hold="3d", minimum_units=300, approval=Approval())
    release = started(world, model, asked)
    world.play(3)
    world.releases.approve(release.id, by="bob (user)", reason="seen")
    world.play(1)
    assert world.releases.get(release.id).stage == "canary"
    world.releases.step(release.id, disabled={release.challenger: "5 of 5 requests failed"})
    found = {one.reason: one for one in world.releases.recompute(release.id)}
    assert found["approved"].equal is None
    assert found["approved"].difference == "bob (user) decided it: the ledger says so, not the log"
    assert found["shadow_passed"].equal
    assert found["tripwire"].equal is None
    assert "the log holds 0 failures in" in found["tripwire"].difference


def test_a_challenger_that_was_shown_before_anybody_had_approved_is_named(world, model) -> None:
    release = started(world, model, msgspec.structs.replace(QUICK))
    world.play(6)
    assert world.releases.get(release.id).stage != "shadow"
    record, changes = world.releases._records.load(release.id)
    forged = msgspec.structs.replace(record, terms=msgspec.structs.replace(record.terms, approval=Approval()))
    with world.store.bookkeeping() as connection:
        world.releases._records.save(connection, forged, changes)
    found = world.releases.recompute(release.id)
    advanced = next(one for one in found if one.kind == "advance")
    assert (advanced.equal, advanced.difference) == (False, "nobody had approved it")


def test_rewards_that_were_changed_afterwards_show_in_the_shares(world, model) -> None:
    release = played(world, model, DRAWS, (0.35, 0.35), days=2)
    drawn = world.log.assignments(world.model, release=release.id, actions=True).head(400)[::4]
    ids = [f"p-x{number}" for number in range(drawn.height)]  # further units that met the champion and earned 1
    common = drawn.select("row", "decision_us", model=pl.lit(world.model), generation=1).with_columns(
        prediction_id=pl.Series(ids), entity=pl.Series(ids), unit=pl.Series(ids), body=pl.lit("{}"),
        receipt_us="decision_us", version=pl.lit(release.champion), arm=pl.lit(release.champion),
        role=pl.lit("served"), status=pl.lit("ok"), output=0.5, latency_us=1, release=pl.lit(release.id),
        reason=pl.lit(""), propensity=0.1, draw=0.5, epoch=1, salt=pl.lit(""), actions=drawn["actions"], value=1.0,
        event_us=pl.col("decision_us") + 1, known_us=pl.col("decision_us") + 1,
    )  # fmt: skip
    for table in ("requests", "assignments", "scored", "outcomes"):
        world.put(table, common.select(name for name in SCHEMAS[table] if name in common.columns))
    differing = [one for one in world.releases.recompute(release.id) if one.equal is False]
    assert differing
    assert any("share was" in one.difference or "n was" in one.difference for one in differing)


# policies that were changed while the release ran

CHANGES = {
    "canary": (QUICK, (0.3,), {"minimum_units": 900, "hold": "1d", "steps": (0.2, 0.4)}, 6),
    "champions": (CONTEST, (0.3, 0.5), {"shadow_at_least": "3d", "hold": "1d"}, 8),
    "bandit": (DRAWS, (0.35, 0.35), {"confidence": 0.95, "minimum_units": 500}, 5),
    "blue green": (BlueGreen(keep="1d", metric="log_loss"), (0.3,), {"keep": "2d"}, 4),
    "a/b test": (
        ABTest(share=0.5, horizon="9d", window="1d", minimum_units=300, precision=0.25), (0.35,),
        {"precision": 0.2, "horizon": "10d"}, 6,
    ),
    "shadow": (
        Shadow(shadow="4d", margin=0.05, minimum_units=300, slices=["x"]), (0.3,),
        {"shadow": "5d", "minimum_units": 400, "slices": ()}, 7,
    ),
}  # fmt: skip


def changed(world, release, fields) -> list[str]:
    """Change a running policy once it has compared something, and return the digests of both."""
    while not any(one.measured for one in world.releases.get(release.id).history):
        world.play(1 / 12, turn=timedelta(hours=2))
    before = world.releases.get(release.id)
    world.releases.change(
        release.id, msgspec.structs.replace(before.policy, **fields), by="bob (user)", reason="the week of the fair"
    )
    return [before.policy_digest, world.releases.get(release.id).policy_digest]


@pytest.mark.parametrize("strategy", CHANGES)
def test_decisions_before_and_after_a_change_of_policy_are_each_found_again_by_the_one_that_held(
    world, model, strategy
) -> None:
    policy, sds, fields, days = CHANGES[strategy]
    release = played(world, model, policy, sds, days=0)
    first, second = changed(world, release, fields)
    world.play(days)
    found = world.releases.recompute(release.id)
    assert [one for one in found if one.equal is False] == []
    assert not any("stored nowhere" in one.difference for one in found)
    place = [one.kind for one in found].index("change")
    assert {one.policy_digest for one in found[:place]} == {first}
    assert {one.policy_digest for one in found[place:]} == {second}
    assert any(one.equal for one in found[:place] if one.measured)
    assert any(one.equal for one in found[place:] if one.measured)
    record = world.releases._records.load(release.id)[0]
    past = world.releases._records
    history = History(record, past.history(release.id), past.agreed(release.id), world.releases.agreements.rebased)
    for moment in history.moments():
        assert moment.record.terms.digest() == moment.decision.terms_digest  # the terms of that moment, every one
        assert policy_digest(moment.record.policy) == moment.decision.policy_digest


def test_which_policy_held_when_is_told_as_a_person_would(world, model) -> None:
    release = started(world, model, QUICK)
    first, second = changed(world, release, {"hold": "3d", "approval": Approval()})
    third = changed(world, release, {"steps": (0.2, 0.3)})[1]
    ran = world.releases.get(release.id).policies
    assert [one.digest for one in ran] == [first, second, third]
    assert [one.policy.hold for one in ran] == [QUICK.hold, "3d", "3d"]
    told = " ".join(explain(world.releases.get(release.id)))
    assert f"Policy {first[:12]} held from the start until" in told
    assert "bob (user) changed it (the week of the fair): hold 3d instead of 16h, approval " in told
    assert f"policy {second[:12]} held until" in told
    assert f"steps [0.2,0.3] instead of [0.2,0.5]; policy {third[:12]} held from then on." in told


def test_a_decision_that_its_own_policy_forbade_is_named_though_the_changed_one_allows_it(world, model) -> None:
    release = started(world, model, QUICK)
    while world.releases.get(release.id).stage == "shadow":
        world.play(1 / 3)
    changed(world, release, {"minimum_units": 50_000})
    assert {one.equal for one in world.releases.recompute(release.id) if one.measured} == {True}
    with world.store.bookkeeping() as connection:  # as if the new policy had been the one from the start
        held = world.releases._records.agreed(release.id)[1].digest
        rows = connection.execute(select(release_decisions)).all()
        for row in rows:
            body = msgspec.json.decode(row.body) | {"policy_digest": held}
            where = release_decisions.c.id == row.id
            connection.execute(update(release_decisions).where(where).values(body=msgspec.json.encode(body).decode()))
    advanced = next(one for one in world.releases.recompute(release.id) if one.kind == "advance")
    assert advanced.equal is False
    assert advanced.difference.startswith("it was to advance (shadow_passed); the log gives few_units")


def test_a_policy_that_was_altered_where_it_is_kept_is_refused_by_its_digest(world, model) -> None:
    release = started(world, model, QUICK)
    with world.store.bookkeeping() as connection:
        connection.execute(update(policies).values(body='{"type":"canary"}'))
    with pytest.raises(Damaged, match="is not what its digest names"):
        world.releases.recompute(release.id)


def test_a_decision_whose_policy_is_stored_nowhere_says_so(world, model) -> None:
    release = started(world, model, QUICK)
    changed(world, release, {"hold": "3d"})
    with world.store.bookkeeping() as connection:
        connection.execute(delete(release_policies))
    found = world.releases.recompute(release.id)
    assert {(one.equal, one.difference) for one in found if one.kind != "change"} == {
        (None, "the policy that it was taken by is stored nowhere")
    }


@pytest.mark.parametrize("policy", [QUIET, CONTEST])
def test_decisions_while_outcomes_had_ceased_to_come_are_found_again_too(world, model, policy) -> None:
    release = played(world, model, policy, (0.3,) if policy is QUIET else (0.3, 0.32), days=2)
    world.tells = False
    reasons = set()
    for _ in range(4):
        world.play(1)
        decision = world.releases.get(release.id).decision
        reasons |= {decision.reason, *decision.waiting}
    assert "stale" in reasons
    world.tells = True
    world.play(6)
    found = world.releases.recompute(release.id)
    assert [one for one in found if one.equal is False] == []
    assert any(one.equal for one in found)
