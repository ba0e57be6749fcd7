"""Why a release advances, stops or waits: one behaviour each."""

import msgspec
import pytest

from mainspring.kernel.errors import Conflict, InvalidInput
from mainspring.release.engine import Facts, State, Waiver, acknowledged, after, command, decide
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.losses import loss
from mainspring.release.evidence.stream import Measured
from mainspring.release.terms import Terms, gates

HOUR = 3_600_000_000
DAY = 24 * HOUR
LOSS = loss("log_loss")
TERMS = Terms(
    kind="refresh", estimator="paired", loss=LOSS, margin=0.01,
    gates=gates(estimator="paired", kind="refresh", loss=LOSS, margin=0.01, alphas=(0.05, 0.01), margins=(0.01, 0.01),
                anchored=False, draws=True),
    steps=(0.05, 0.5), shadow_us=14 * DAY, hold_us=DAY, horizon_us=12 * HOUR, window_us=0, deadline_us=20 * DAY,
    on_deadline="return", minimum_units=500, step_requests=20, coverage=0.8, alpha_ratio=0.001, planned_requests=20_000,
)  # fmt: skip
SHADOW = State(acknowledged_us=0, generation=1, stage_generation=1)
CANARY = msgspec.structs.replace(
    SHADOW, stage="canary", step=1, share=0.05, stage_since_us=7 * DAY, acknowledged_us=7 * DAY
)
LAST = msgspec.structs.replace(CANARY, step=2, share=0.5)
FACTS = Facts(champion="v1", compared_with="v1", challenger="v2", step_requests=100, shadow_requests=1_000)
NOW = 8 * DAY


def quality(n: int = 6_000, e_promote: float = 30.0, e_stop: float = 1.0) -> Measured:
    return Measured("quality", "metric", "paired", n, 0.0, -0.005, 0.009, 0.01, e_promote, 20.0, 0.0, e_stop, 200.0)


def seen(*measured: Measured, coverage: float = 1.0, newest_label_us: int | None = NOW - HOUR) -> Evidence:
    return Evidence(measured or (quality(),), 6_000, coverage, 0.97, newest_label_us)


def test_a_release_without_evidence_is_inconclusive() -> None:
    decision = decide(TERMS, SHADOW, None, FACTS, NOW)
    assert (decision.kind, decision.verdict, decision.waiting) == ("wait", "inconclusive", ("no_evidence",))


def test_proven_not_worse_in_shadow_begins_to_answer_for_the_first_share() -> None:
    decision = decide(TERMS, SHADOW, seen(), FACTS, NOW)
    assert (decision.kind, decision.reason, decision.share) == ("advance", "shadow_passed", 0.05)
    state = after(SHADOW, decision)
    assert (state.stage, state.step, state.share, state.acknowledged_us, state.share_changes) == (
        "canary", 1, 0.05, None, (NOW,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "facts", "waits_for"),
    [
        (seen(quality(n=499)), FACTS, "few_units"),
        (seen(quality(e_promote=19.9)), FACTS, "not_proven"),
        (seen(coverage=0.79), FACTS, "shadow_incomplete"),
        (seen(newest_label_us=NOW - 25 * HOUR), FACTS, "stale"),
        (seen(newest_label_us=None), FACTS, "stale"),
        (seen(), msgspec.structs.replace(FACTS, another_draws=True), "another_draws"),
    ],
)
def test_a_shadow_waits_for_what_is_missing(evidence: Evidence, facts: Facts, waits_for: str) -> None:
    decision = decide(TERMS, SHADOW, evidence, facts, NOW)
    assert (decision.kind, decision.waiting) == ("wait", (waits_for,))


def test_nothing_advances_before_the_gateways_have_taken_the_stage_up() -> None:
    decision = decide(TERMS, State(), seen(), FACTS, NOW)
    assert (decision.kind, decision.reason) == ("wait", "not_acknowledged")
    assert acknowledged(State(), 4, NOW).acknowledged_us == NOW


def test_a_step_waits_for_its_hold_and_its_requests() -> None:
    early = decide(TERMS, CANARY, seen(), FACTS, 7 * DAY + HOUR)
    assert early.waiting == ("hold",)
    few = decide(TERMS, CANARY, seen(), msgspec.structs.replace(FACTS, step_requests=19), NOW)
    assert few.waiting == ("few_requests",)
    assert decide(TERMS, CANARY, seen(), FACTS, NOW).share == 0.5


def test_the_last_step_promotes_only_while_the_evidence_stands() -> None:
    assert decide(TERMS, LAST, seen(), FACTS, NOW).kind == "promote"
    assert decide(TERMS, LAST, seen(newest_label_us=0), FACTS, NOW).waiting == ("stale",)
    assert decide(TERMS, LAST, seen(quality(e_promote=3.0)), FACTS, NOW).waiting == ("not_proven",)


@pytest.mark.parametrize("state", [SHADOW, CANARY, LAST, msgspec.structs.replace(CANARY, status="held")])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("quality", "quality_worse"), ("failed", "failures"), ("label", "label_moved"), ("sample_ratio", "sample_ratio")],
)
def test_a_stop_dominates_everything_else(state: State, name: str, reason: str) -> None:
    stop = msgspec.structs.replace(quality(e_stop=201.0), name=name)
    decision = decide(TERMS, state, seen(quality(), stop), FACTS, NOW)
    assert (decision.kind, decision.verdict, decision.reason, decision.share) == ("roll_back", "roll_back", reason, 0.0)


def test_a_challenger_that_a_gateway_took_out_is_rolled_back_with_the_gateways_words() -> None:
    facts = msgspec.structs.replace(FACTS, disabled="5 of 5 requests failed")
    decision = decide(TERMS, CANARY, None, facts, NOW)
    assert (decision.kind, decision.reason) == ("roll_back", "tripwire")
    assert "5 of 5 requests failed" in decision.sentence


def test_an_undecided_shadow_is_returned_when_its_time_and_the_wait_for_labels_are_over() -> None:
    undecided = seen(quality(e_promote=2.0))
    end = 14 * DAY + 12 * HOUR
    assert decide(TERMS, SHADOW, undecided, FACTS, end - 1).kind == "wait"
    decision = decide(TERMS, SHADOW, undecided, FACTS, end)
    assert (decision.kind, decision.verdict, decision.reason) == ("return", "inconclusive", "undecided_in_shadow")
    assert after(SHADOW, decision).status == "returned"


def test_a_deadline_can_leave_the_decision_to_a_person() -> None:
    terms = msgspec.structs.replace(TERMS, on_deadline="hold")
    decision = decide(terms, SHADOW, None, FACTS, 20 * DAY)
    assert decision.kind == "hold"
    held = after(SHADOW, decision)
    assert decide(terms, held, None, FACTS, 21 * DAY).reason == "held"


def test_a_shadow_goes_on_against_a_new_champion_and_a_canary_is_returned() -> None:
    facts = msgspec.structs.replace(FACTS, champion="v3")
    rebased = decide(TERMS, SHADOW, seen(), facts, NOW)
    assert rebased.kind == "rebase"
    assert after(SHADOW, rebased).epoch == 2
    assert decide(TERMS, CANARY, seen(), facts, NOW).kind == "return"


def test_a_held_release_does_not_advance_and_resumes() -> None:
    held = after(SHADOW, command(TERMS, SHADOW, "hold", "ann", "a holiday", NOW))
    assert decide(TERMS, held, seen(), FACTS, NOW).reason == "held"
    running = after(held, command(TERMS, held, "resume", "ann", "back", NOW))
    assert decide(TERMS, running, seen(), FACTS, NOW).kind == "advance"


def test_promotion_needs_evidence_or_a_name_and_a_reason() -> None:
    decision = decide(TERMS, LAST, seen(), FACTS, NOW)
    with pytest.raises(Conflict, match="evidence"):
        after(LAST, decision)
    with pytest.raises(Conflict, match="reason"):
        Waiver("ann", " ")
    assert after(LAST, decision, seen()).status == "promoted"
    with pytest.raises(InvalidInput, match="nothing"):
        Evidence((), 0)
    with pytest.raises(InvalidInput, match="finite"):
        Evidence((msgspec.structs.replace(quality(), estimate=float("nan")),), 1)


def test_a_new_recipe_must_be_better_and_a_refresh_not_worse_by_the_margin() -> None:
    refresh = gates(estimator="paired", kind="refresh", loss=LOSS, margin=0.01, alphas=(0.05, 0.01),
                    margins=(0.01, 0.01), anchored=True, draws=False)  # fmt: skip
    new = gates(estimator="paired", kind="new_recipe", loss=LOSS, margin=0.01, alphas=(0.05, 0.01),
                margins=(0.01, 0.01), anchored=False, draws=False, challengers=2)  # fmt: skip
    assert [(one.name, one.promote_margin, one.stop_margin) for one in refresh[:2]] == [
        ("quality", 0.01, 0.0), ("quality_against_anchor", 0.01, None),
    ]  # fmt: skip
    assert (new[0].promote_margin, new[0].alpha_promote, new[0].alpha_stop) == (0.0, 0.025, 0.005)


def test_all_stops_together_spend_the_stopping_error_and_no_more() -> None:
    spent = sum(gate.alpha_stop for gate in TERMS.gates if gate.stop_margin is not None)
    assert spent + TERMS.alpha_ratio + 0.001 == pytest.approx(0.01)


def test_a_decision_carries_its_numbers_for_the_ledger() -> None:
    numbers = decide(TERMS, SHADOW, seen(), FACTS, NOW).numbers()
    assert numbers["measured"]["quality"]["e_promote"] == 30.0
    assert numbers["measured"]["quality"]["promote_limit"] == 0.01
    assert numbers["terms_digest"] == TERMS.digest()
    assert (numbers["reason"], numbers["units"], numbers["share"]) == ("shadow_passed", 6_000, 0.05)


PATIENT = msgspec.structs.replace(TERMS, shadow_least_us=7 * DAY)


def test_quality_is_not_judged_before_the_least_time_in_shadow_and_the_wait_for_its_labels() -> None:
    worse = seen(quality(e_promote=0.1, e_stop=300.0))
    for evidence in (worse, seen()):
        early = decide(PATIENT, SHADOW, evidence, FACTS, 7 * DAY + 12 * HOUR - 1)
        assert (early.kind, early.waiting[0]) == ("wait", "early")
    assert decide(PATIENT, SHADOW, worse, FACTS, 7 * DAY + 12 * HOUR).reason == "quality_worse"
    assert decide(PATIENT, SHADOW, seen(), FACTS, 7 * DAY + 12 * HOUR).reason == "shadow_passed"


def test_failures_stop_a_shadow_however_young_it_is() -> None:
    failing = seen(
        Measured("shadow_failed", "guard", "paired", 900, 0.1, 0.05, 0.2, None, 0.0, 20.0, 0.01, 900.0, 600.0)
    )
    assert decide(PATIENT, SHADOW, failing, FACTS, HOUR).reason == "failures"


def test_worse_answers_stop_a_canary_at_once() -> None:
    worse = seen(quality(e_promote=0.1, e_stop=300.0))
    assert decide(PATIENT, CANARY, worse, FACTS, 7 * DAY + HOUR).reason == "quality_worse"
