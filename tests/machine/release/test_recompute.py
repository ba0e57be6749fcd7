"""What was decided on, worked out again from the log."""

import msgspec
import polars as pl
import pytest
from tests.machine.release.test_rehearsal import QUICK, started

from mainspring.log.rows import SCHEMAS
from mainspring.release.policy import ABTest, Approval, Bandit, BlueGreen, Canary, ChampionChallenger, metrics


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


def test_what_was_decided_before_its_policy_was_changed_is_not_judged_by_the_new_one(world, model) -> None:
    release = started(world, model, QUICK)
    before = []
    while not any(one.kind == "advance" for one in before):
        world.play(1)
        before = world.releases.recompute(release.id)
    policy = world.releases.get(release.id).policy
    world.releases.change(
        release.id, msgspec.structs.replace(policy, approval=Approval()), by="bob", reason="somebody should look"
    )
    after = world.releases.recompute(release.id)[: len(before)]
    assert {one.equal for one in after} == {None}
    assert all("its policy was changed by hand later" in one.difference for one in after)
