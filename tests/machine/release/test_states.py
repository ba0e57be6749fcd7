"""The state graph of a release, explored exhaustively: every decision and every command from every state reached."""

from itertools import product

import msgspec
import pytest

from mainspring.kernel.errors import Conflict
from mainspring.release.engine import (
    COMMANDS,
    OVER,
    Decision,
    Facts,
    State,
    Waiver,
    acknowledged,
    after,
    command,
    decide,
)
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.losses import loss
from mainspring.release.evidence.stream import Measured
from mainspring.release.terms import Terms, gates

DAY = 86_400_000_000
LOSS = loss("log_loss")


def terms(on_deadline: str, steps: tuple[float, ...], estimator: str) -> Terms:
    return Terms(
        kind="refresh", estimator=estimator, loss=LOSS, margin=0.01,
        gates=gates(estimator=estimator, kind="refresh", loss=LOSS, margin=0.01, alphas=(0.05, 0.01),
                    margins=(0.01, 0.01), anchored=False, draws=bool(steps)),
        steps=steps, shadow_us=3 * DAY, hold_us=DAY, horizon_us=DAY, window_us=0, deadline_us=8 * DAY,
        on_deadline=on_deadline, minimum_units=500, step_requests=20, coverage=0.8, alpha_ratio=0.001,
        planned_requests=20_000,
    )  # fmt: skip


def measured(e_promote: float, e_stop: float, name: str = "quality") -> Measured:
    return Measured(name, "metric", "paired", 6_000, 0.0, -0.01, 0.01, 0.01, e_promote, 20.0, 0.0, e_stop, 200.0)


EVIDENCE = {
    "nothing": None,
    "open": Evidence((measured(2.0, 1.0),), 6_000, newest_label_us=10**18),
    "good": Evidence((measured(50.0, 1.0),), 6_000, newest_label_us=10**18),
    "bad": Evidence((measured(50.0, 300.0),), 6_000, newest_label_us=10**18),
    "stale": Evidence((measured(50.0, 1.0),), 6_000, newest_label_us=None),
}
FACTS = [
    Facts("v1", "v1", "v2", disabled, another, requests, 1_000)
    for disabled, another, requests in product(("", "failed"), (False, True), (0, 100))
] + [Facts("v3", "v1", "v2"), Facts(None, "v1", "v2"), Facts("v2", "v1", "v2")]


def key(state: State, day: int) -> tuple[object, ...]:
    return (state.status, state.stage, state.step, state.share, state.acknowledged_us, day)


def follow(state: State, decision: Decision, warrant: Evidence | Waiver | None) -> State:
    return after(state, decision, warrant)


def explore(agreed: Terms) -> dict[tuple[object, ...], State]:
    """Return every state reached within ten days, checking every edge on the way."""
    found: dict[tuple[object, ...], State] = {}
    todo = [(State(), 0)]
    while todo:
        state, day = todo.pop()
        if key(state, day) in found or day > 10:
            continue
        found[key(state, day)] = state
        now_us = day * DAY
        nexts = [acknowledged(state, 1, now_us)]
        for (name, evidence), facts in product(EVIDENCE.items(), FACTS):
            decision = decide(agreed, state, evidence, facts, now_us)
            check_edge(agreed, state, decision, name, facts)
            nexts.append(follow(state, decision, evidence))
        for order in COMMANDS:
            try:
                decision = command(agreed, state, order, "ann", "because", now_us)
            except Conflict:
                assert order != "abort"
                continue
            nexts.append(follow(state, decision, Waiver("ann", "because")))
        todo += [(one, day + days) for one in nexts for days in (0, 1)]
    return found


def check_edge(agreed: Terms, state: State, decision: Decision, evidence: str, facts: Facts) -> None:
    if state.over:
        assert decision.kind == "wait"
        return
    if decision.kind == "promote":
        assert evidence == "good"
    if decision.kind in ("promote", "advance"):
        assert state.status == "running"
        assert state.acknowledged_us is not None
        assert EVIDENCE[evidence] is not None
        assert not facts.disabled
        assert facts.champion == facts.compared_with
        assert evidence != "bad"
    if facts.disabled or (evidence == "bad" and facts.champion != facts.challenger):
        assert decision.kind in ("roll_back", "return")
    assert decision.verdict != "advance" or decision.kind in ("promote", "advance")


@pytest.mark.parametrize("estimator", ["paired", "drawn"])
@pytest.mark.parametrize("steps", [(), (0.05, 0.5)])
@pytest.mark.parametrize("on_deadline", ["return", "hold"])
def test_the_whole_graph_keeps_its_promises(on_deadline: str, steps: tuple[float, ...], estimator: str) -> None:
    agreed = terms(on_deadline, steps, estimator)
    states = list(explore(agreed).values())
    assert {state.status for state in states} == {"running", "held", "promoted", "rolled_back", "returned", "aborted"}
    assert {state.step for state in states} == set(range(len(steps) + 1))
    for state in states:
        assert state.share == (agreed.steps[state.step - 1] if state.stage == "canary" else 0.0)
        assert state.over == (state.stage == "over")


def test_abort_is_legal_in_every_state_and_ends_it() -> None:
    agreed = terms("return", (0.05, 0.5), "paired")
    for state in explore(agreed).values():
        ended = follow(state, command(agreed, state, "abort", "ann", "enough", 5 * DAY), None)
        assert ended.status in OVER
        assert ended.share == 0.0
        assert state.status not in OVER or ended == state


def test_every_running_release_ends_by_its_deadline_when_nothing_is_known() -> None:
    agreed = terms("return", (0.05, 0.5), "paired")
    facts = Facts("v1", "v1", "v2")
    for state in explore(agreed).values():
        decision = decide(agreed, state, None, facts, 8 * DAY)
        assert after(state, decision).over


def test_states_survive_being_written_and_read() -> None:
    for state in explore(terms("hold", (0.5,), "paired")).values():
        assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
