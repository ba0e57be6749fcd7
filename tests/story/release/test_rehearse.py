"""Rehearsals on logged traffic: versions that nobody has asked yet, through the verb, in processes of their own."""

from __future__ import annotations

import pytest

from mainspring.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from mainspring.ledger.queries import entries


@pytest.fixture(scope="module")
def challengers(shop):
    shop.version("2", 4.0)
    shop.version("3", -3.0)
    return shop


def rehearse(shop, **arguments):
    return shop.ask("rehearse", model="late", plays=arguments.pop("plays", 60), **arguments)


def test_a_better_version_is_promoted_and_the_callers_that_would_have_met_it_are_counted(challengers) -> None:
    found = rehearse(challengers, challenger="2")
    assert found["promotion"]["share"] == 1.0
    assert found["promotion"]["low"] > 0.9
    assert (found["rows"], found["recomputed_rows"], found["left_out_rows"]) == (3_360, 3_360, 0)
    assert found["reasons"] == {"not_worse": 60}
    assert 1 < found["days"]["mean"] < 8
    assert 0 < found["exposed_rows"]["mean"] < 500
    assert found["exposed_rows"]["standard_error"] > 0
    assert found["sentence"].startswith("given these 3360 rows: promotion in 100.0% (94.0% to 100.0%)")
    assert found["told"][0] == "plays end by: not worse 60"


def test_a_worse_one_never_leaves_its_shadow(challengers) -> None:
    found = rehearse(challengers, challenger="3")
    assert found["rollback"]["share"] == 1.0
    assert found["reasons"] == {"quality_worse": 60}
    assert found["exposed_rows"]["most"] == 0
    assert "rows that meet a challenger's answers: 0 in every play" in found["told"]


@pytest.mark.parametrize(
    ("inject", "reason"),
    [("loss=+0.6", "quality_worse"), ("errors=30%", "failures"), ("latency=+5000ms", "late")],
)
def test_with_an_injected_fault_it_shows_whether_the_policy_would_notice(challengers, inject, reason) -> None:
    found = rehearse(challengers, challenger="2", inject=inject, plays=20)
    assert found["rollback"]["share"] == 1.0
    assert set(found["reasons"]) == {reason}
    assert found["injected"] == [inject]


def test_the_same_seed_gives_the_same_plays_and_another_policy_another_answer(challengers) -> None:
    policy = {
        "type": "canary", "shadow": "4d", "steps": [0.02], "hold": "6h", "margin": 0.1, "minimum_units": 200,
        "step_requests": 9,
    }  # fmt: skip
    one = rehearse(challengers, challenger="2", policy=policy)
    again = rehearse(challengers, challenger="2", policy=policy)
    assert {**one, "id": ""} == {**again, "id": ""}
    other = rehearse(challengers, challenger="2", policy=policy, seed=2)
    assert one["exposed_rows"] != other["exposed_rows"]
    days = one["days"]
    assert days["p90"]["value"] > days["p10"]["value"]  # when nine requests have come to it is chance
    assert days["p10"]["low"] <= days["p10"]["value"] <= days["p10"]["high"]
    assert days["low"] < days["mean"] < days["high"]


def test_of_several_challengers_the_best_goes_on_and_its_number_is_told(challengers) -> None:
    policy = {"type": "champion_challenger", "shadow": "7d", "steps": [0.5], "hold": "12h", "margin": 0.1,
              "minimum_units": 200}  # fmt: skip
    found = rehearse(challengers, challenger="3,2", policy=policy, plays=20)
    assert (found["challengers"], found["promotion"]["share"]) == ([3, 2], 1.0)
    assert {number: one["share"] for number, one in found["winners"].items()} == {"2": 1.0}


def test_a_switch_is_taken_back_for_injected_errors(challengers) -> None:
    policy = {"type": "blue_green", "keep": "3d", "metric": "log_loss"}
    back = rehearse(challengers, challenger="2", policy=policy, plays=5, inject="errors=30%")
    assert back["rollback"]["share"] == 1.0
    assert back["exposed_rows"]["most"] < 300


def test_an_immediate_release_exposes_everybody_and_the_report_says_so(challengers) -> None:
    found = rehearse(challengers, challenger="3", policy={"type": "immediate"}, plays=5)
    assert (found["promotion"]["share"], found["exposed_rows"]["mean"], found["days"]["mean"]) == (1.0, 3_359.0, 0.0)
    assert "whoever asks after the switch is exposed, to the end of the rows" in found["assumed"]


def test_a_test_of_rewards_is_stopped_for_an_injected_loss(challengers) -> None:
    policy = {"type": "ab_test", "share": 0.5, "horizon": "10d", "minimum_units": 200}
    stopped = rehearse(challengers, challenger="2", policy=policy, plays=20, inject="loss=+0.3")
    assert stopped["reasons"] == {"quality_worse": 20}
    assert any(one.startswith("the outcome is the reward") for one in stopped["assumed"])


def test_a_bandit_promotes_what_earns_more_by_a_fault_that_helps(challengers) -> None:
    policy = {"type": "bandit", "per": "request", "update": "12h", "horizon": "13d", "minimum_units": 200}
    found = rehearse(challengers, challenger="2", policy=policy, plays=6, inject="loss=-0.8")
    assert (found["promotion"]["share"], found["winners"]["2"]["plays"]) == (1.0, 6)


def test_further_metrics_and_guards_take_part(challengers) -> None:
    policy = {"type": "canary", "shadow": "4d", "steps": [0.5], "hold": "12h", "margin": 0.1, "minimum_units": 200,
              "step_requests": 9, "metrics": [{"type": "slower_than", "limit": "1s", "margin": 0.2}],
              "guards": [{"type": "failures", "margin": 0.02}, {"type": "reward", "margin": 0.5}]}  # fmt: skip
    slow = rehearse(challengers, challenger="2", policy=policy, plays=10, inject="latency=+700ms")
    assert slow["promotion"]["share"] == 1.0
    assert "a version takes as long as the champion did over a row that it never answered" in slow["assumed"]


def test_what_came_of_a_rehearsal_is_kept_with_who_asked_and_stands_in_the_ledger(challengers) -> None:
    found = rehearse(challengers, challenger="3", inject="loss=+0.01", seed=7, reason="before the fair", plays=20)
    assert challengers.ask("rehearsal show", rehearsal=found["id"]) == found
    assert challengers.ask("rehearsal show", rehearsal="late")["model"] == "late"
    listed = challengers.ask("rehearsal list", model="late", limit=2)
    assert listed == sorted(listed, key=lambda one: (-one["at_us"], one["id"]))
    assert (found["by"], found["reason"], found["challengers"], found["asked"]["type"]) == (
        "ann", "before the fair", [3], "canary",
    )  # fmt: skip
    with challengers.platform.store.read() as connection:
        entry = next(one for one in entries(connection, subject=found["id"]))
    assert (entry.kind, entry.actor) == ("release.rehearsed", "ann")
    assert entry.reason.startswith("before the fair: given these 3360 rows, with loss=+0.01:")
    kept = {name: entry.numbers[name] for name in ("seed", "plays", "rows", "promotion", "rollback", "inconclusive")}
    assert kept == {"seed": 7, "plays": 20, "rows": 3_360, "promotion": 0, "rollback": 20, "inconclusive": 0}
    assert len(entry.numbers["policy_digest"]) == 64
    with pytest.raises(NotFound, match="there is no such rehearsal"):
        challengers.ask("rehearsal show", rehearsal="reh_none")


def test_what_cannot_be_rehearsed_is_refused_with_the_reason(challengers) -> None:
    with pytest.raises(Conflict, match="is the champion already"):
        rehearse(challengers, challenger="1")
    with pytest.raises(InvalidInput, match="takes one challenger"):
        rehearse(challengers, challenger="2,3")
    with pytest.raises(InvalidInput, match="holds no answered requests"):
        rehearse(challengers, challenger="2", **{"from": "2026-02-01T00:00Z", "to": "2026-02-20T00:00Z"})
    with pytest.raises(InvalidInput, match="inject: is not a fault"):
        rehearse(challengers, challenger="2", inject="los=1")
    with pytest.raises(InvalidInput, match="is not a strategy"):
        rehearse(challengers, challenger="2", policy={"type": "canery"})


def test_where_answers_may_change_outcomes_it_is_refused_and_says_what_to_ask_instead(affecting) -> None:
    affecting.version("2", 4.0)
    with pytest.raises(Refused, match="mainspring value"):
        rehearse(affecting, challenger="2")


def test_without_a_draw_there_is_no_off_policy_value_and_what_is_asked_must_be_clear(shop) -> None:
    with pytest.raises(Refused, match="no unit was drawn in that time"):
        shop.ask("value", model="late", challenger="1")
    with pytest.raises(Refused, match="no unit was drawn in that time"):
        shop.ask("value", model="late", shares="1=1.0")
    with pytest.raises(InvalidInput, match="either a challenger or shares"):
        shop.ask("value", model="late")
    with pytest.raises(InvalidInput, match=r"3=0\.5,champion=0\.5"):
        shop.ask("value", model="late", shares="1=half")
    with pytest.raises(InvalidInput, match="names one version twice"):
        shop.ask("value", model="late", shares="1=0.5,champion=0.5")
    with pytest.raises(InvalidInput, match="must be shares that add up to 1"):
        shop.ask("value", model="late", shares="1=nan")
