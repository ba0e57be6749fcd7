"""The state graphs of all strategies, explored exhaustively: every decision and command from every state reached."""

from collections.abc import Iterator
from functools import cache
from itertools import product

import msgspec
import pytest

from mainspring.kernel.errors import Conflict, InvalidInput, Refused
from mainspring.release.engine import (
    COMMANDS,
    OVER,
    Contender,
    Decision,
    Facts,
    Seen,
    State,
    Waiver,
    acknowledged,
    after,
    command,
    decide,
)
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.losses import loss
from mainspring.release.evidence.stream import Measured
from mainspring.release.outlook import Past, Setting, amended, loss_of, terms_of
from mainspring.release.policy import (
    ABTest,
    Approval,
    Bandit,
    BlueGreen,
    Canary,
    ChampionChallenger,
    Immediate,
    Policy,
    Shadow,
)
from mainspring.release.policy.change import change
from mainspring.release.policy.outline import outline
from mainspring.release.terms import Terms

DAY = 86_400_000_000
DAYS = 6
COMMON = {"shadow": "2d", "hold": "1d", "deadline": "5d", "minimum_units": 100}
REWARDED = {"horizon": "4d", "window": "0s", "minimum_units": 100}
POLICIES: dict[str, Policy] = {
    "immediate": Immediate(approval=Approval(), deadline="3d"),
    "blue_green": BlueGreen(keep="1d", deadline="2d"),
    "blue_green_approved": BlueGreen(keep="1d", deadline="2d", approval=Approval()),
    "shadow": Shadow(**COMMON),
    "shadow_held": Shadow(**COMMON, on_deadline="hold"),
    "canary": Canary(steps=[0.1, 0.5], **COMMON),
    "canary_approved": Canary(steps=[0.5], approval=Approval(), **COMMON),
    "ab_test": ABTest(**REWARDED),
    "ab_test_precise": ABTest(precision=0.2, approval=Approval(), on_deadline="hold", **REWARDED),
    "bandit": Bandit(update="1d", **REWARDED),
    "bandit_approved": Bandit(update="1d", approval=Approval(), on_deadline="hold", **REWARDED),
    "champion_challenger": ChampionChallenger(steps=[0.5], **COMMON),
    "champion_challenger_approved": ChampionChallenger(steps=[0.5], approval=Approval(), **COMMON),
}
SEVERAL = ("bandit", "bandit_approved", "champion_challenger", "champion_challenger_approved")


def agreed(policy: Policy) -> Terms:
    plan = outline(policy)
    found = loss("log_loss") if plan.rewards is None else loss_of(plan)
    past = Past(DAY, found)
    return msgspec.structs.replace(
        terms_of(policy, None, past, Setting("refresh", False, 2, 2)),
        estimator="drawn" if plan.drawn else "paired",
    )


def measured(e_promote: float, e_stop: float) -> Measured:
    return Measured("quality", "metric", "paired", 6_000, 0.0, -0.01, 0.01, 0.01, e_promote, 20.0, 0.0, e_stop, 200.0)


EVIDENCE = {
    "nothing": None,
    "open": Evidence((measured(2.0, 1.0),), 6_000, newest_label_us=10**18),
    "good": Evidence((measured(50.0, 1.0),), 6_000, newest_label_us=10**18),
    "bad": Evidence((measured(50.0, 300.0),), 6_000, newest_label_us=10**18),
    "stale": Evidence((measured(50.0, 1.0),), 6_000, newest_label_us=None),
}
LITTLE, MUCH = Earned(900, 900, 90, 90, 900), Earned(900, 900, 700, 700, 900)


def opening(policy: Policy) -> State:
    contenders = (Contender("v2", 2), Contender("v3", 3)) if isinstance(policy, Bandit | ChampionChallenger) else ()
    return State(contenders=contenders)


def situations(state: State) -> Iterator[tuple[dict[str, str], Evidence | None, Facts]]:
    """Yield what may be seen: the evidence's names by version, the evidence, and the facts."""
    if not state.contest:
        for (name, evidence), disabled, another in product(EVIDENCE.items(), ("", "failed"), (False, True)):
            yield {"v2": name, "v3": name}, evidence, Facts("v1", "v1", "v2", disabled, another, 100, 1_000)
        for champion in ("v9", None, "v2", "v3"):
            yield {"v2": "good", "v3": "good"}, EVIDENCE["good"], Facts(champion, "v1", "v2", "", False, 100, 1_000)
        return
    names = [one.version for one in state.contest]
    for seen in product(("nothing", "good", "bad"), repeat=len(names)):
        told = dict(zip(names, seen, strict=True))
        for best, disabled, another in (("v1", "", False), (names[-1], "", False), ("v1", names[0], False),
                                        (names[0], "", True)):  # fmt: skip
            yield told, None, Facts(
                "v1", "v1", "v2", another_draws=another, earned=MUCH if best == "v1" else LITTLE, salt="s",
                seen=tuple(
                    Seen(one, EVIDENCE[told[one]], MUCH if best == one else LITTLE, "failed" if disabled == one else "")
                    for one in names
                ),
            )  # fmt: skip
    for champion in ("v9", None, "v3"):
        yield dict.fromkeys(names, "good"), None, Facts(champion, "v1", "v2", seen=tuple(Seen(one) for one in names))


def key(state: State, day: int) -> tuple[object, ...]:
    return (
        state.status, state.stage, state.step, state.acknowledged_us, state.approved is not None,
        tuple(one.status for one in state.contenders), state.shares_us, day,
    )  # fmt: skip


@cache
def explore(name: str) -> dict[tuple[object, ...], State]:
    """Return every state reached within six days, checking every edge on the way."""
    policy = POLICIES[name]
    terms = agreed(policy)
    found: dict[tuple[object, ...], State] = {}
    todo = [(opening(policy), 0)]
    while todo:
        state, day = todo.pop()
        if key(state, day) in found or day > DAYS:
            continue
        found[key(state, day)] = state
        now_us = day * DAY
        nexts = {}
        taken_up = acknowledged(state, day + 1, now_us)
        nexts[key(taken_up, day)] = taken_up
        for told, evidence, facts in situations(state):
            decision = decide(terms, state, evidence, facts, now_us)
            check_edge(terms, state, decision, told, facts)
            warrant = Waiver("ann", "so declared") if not terms.judged else evidence or EVIDENCE["good"]
            follower = after(state, decision, warrant)
            check_generation(state, follower, decision)
            nexts[key(follower, day)] = follower
        for order in COMMANDS:
            try:
                decision = command(terms, state, order, "bob", "because", now_us, started_by="ann")
            except (Conflict, Refused):
                assert order != "abort"
                continue
            check_command(terms, state, decision)
            follower = after(state, decision, Waiver("bob", "because"))
            nexts[key(follower, day)] = follower
        todo += [(one, day + days) for one in nexts.values() for days in (0, 1)]
    return found


def check_edge(terms: Terms, state: State, decision: Decision, told: dict[str, str], facts: Facts) -> None:
    if state.over:
        assert decision.kind == "wait"
        return
    changed = facts.champion != facts.compared_with
    if decision.kind in ("promote", "advance"):
        assert state.status == "running"
        assert state.acknowledged_us is not None or terms.strategy == "immediate"
        assert not changed
        assert not facts.disabled
        if decision.kind == "promote" or state.stage == "shadow":
            assert terms.approval is None or state.approved is not None
    if decision.kind == "promote" and terms.judged:
        assert told[decision.winner or "v2"] == "good"
    if decision.kind == "promote" and not terms.judged:
        assert terms.strategy == "immediate" or (state.stage == "kept" and state.share == 1.0)
        assert told["v2"] != "bad"
    if decision.winner:
        assert told[decision.winner] == "good"
        assert [one.status for one in decision.contenders].count("won") == 1
    failing = facts.disabled or any(one.disabled for one in facts.seen if one.version in told)
    stopped = not state.contest and told["v2"] == "bad"
    if (failing or stopped) and facts.champion not in ("v2", "v3"):
        assert decision.kind in ("roll_back", "drop")
    assert decision.verdict != "advance" or decision.kind in ("promote", "advance")


def check_command(terms: Terms, state: State, decision: Decision) -> None:
    if decision.kind == "promote":
        assert terms.approval is None or state.approved is not None
        assert not state.contest


def check_generation(state: State, follower: State, decision: Decision) -> None:
    """A generation that evidence counts from is kept until a new comparison begins."""
    if decision.kind == "rebase":
        assert follower.generation is None
        return
    assert follower.generation == state.generation
    assert (follower.stage_generation is None) == (follower.acknowledged_us is None)


@pytest.mark.parametrize("name", POLICIES)
def test_the_whole_graph_of_each_strategy_keeps_its_promises(name: str) -> None:
    states = list(explore(name).values())
    statuses = {state.status for state in states}
    assert statuses >= {"running", "held", "rolled_back", "returned", "aborted", "promoted"}
    for state in states:
        assert state.over == (state.stage == "over")
        assert 0.0 <= state.share <= 1.0
        assert state.draws == (state.share > 0 or (name in SEVERAL and state.stage == "bandit"))
        if state.draws and state.contest:
            assert state.share == pytest.approx(sum(one.share for one in state.contest))
            assert all(one.share >= 0.05 for one in state.contest)
        assert all(one.share == 0.0 for one in state.contenders if one.status != "running")
    for state in states:
        assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


@pytest.mark.parametrize("name", POLICIES)
def test_abort_is_legal_in_every_state_of_each_strategy_and_ends_it(name: str) -> None:
    terms = agreed(POLICIES[name])
    for state in explore(name).values():
        ended = after(state, command(terms, state, "abort", "bob", "enough", 5 * DAY))
        assert ended.status in OVER
        assert ended.share == 0.0
        assert state.status not in OVER or ended == state


@pytest.mark.parametrize("name", [name for name, one in POLICIES.items() if outline(one).on_deadline == "return"])
def test_every_running_release_ends_by_its_deadline_when_nothing_is_known(name: str) -> None:
    terms = agreed(POLICIES[name])
    for state in explore(name).values():
        seen = tuple(Seen(one.version) for one in state.contest)
        decision = decide(terms, state, None, Facts("v1", "v1", "v2", seen=seen), terms.deadline_us + 1)
        assert state.over or decision.kind == "return"
        assert after(state, decision).over


# another policy, and units held out, in every state

CHANGES: dict[str, tuple[object, ...]] = {
    "shadow": ("1d", "4d"), "shadow_at_least": ("0s", "1d"), "hold": ("1h", "3d"), "keep": ("1h", "3d"),
    "horizon": ("3d", "8d"), "deadline": ("4d", "9d", None), "on_deadline": ("hold", "return"),
    "minimum_units": (1, 5_000), "step_requests": (1, 90), "coverage": (0.1, 0.99), "confidence": (0.6, 0.99),
    "precision": (None, 0.01, 0.5), "steps": ((0.05,), (0.05, 0.1), (0.6,), (0.05, 0.4)), "margin": (0.5,),
    "approval": (None, Approval(), Approval(role="risk", not_starter=True)), "holdout": (0.2,), "share": (0.1,),
    "metric": ("brier",), "alpha_promote": (0.2,), "alpha_stop": (0.2,), "window": ("2d",), "floor": (0.01,),
    "update": ("2d",), "algorithm": ("top_two",), "slices": (("origin",),), "sample": (0.5,),
}  # fmt: skip
FIXED = ("margin", "metric", "alpha_promote", "alpha_stop", "window", "floor", "update", "algorithm", "sample",
         "holdout", "share")  # fmt: skip


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_changed_in_any_state_makes_nothing_easier(name: str) -> None:
    policy = POLICIES[name]
    terms = agreed(policy)
    taken, refused = set(), set()
    kinds = {(one.status, one.stage, one.step, one.approved, len(one.contest)): one for one in explore(name).values()}
    for state, (field, values) in product(kinds.values(), CHANGES.items()):
        for value in values if field in policy.__struct_fields__ else ():
            if getattr(policy, field) == value:
                continue
            try:
                wanted = msgspec.structs.replace(policy, **{field: value})
                changed = amended(terms, change(policy, wanted, state))
            except InvalidInput:
                continue  # no policy at all
            except Conflict:
                refused.add(field)
                continue
            assert not state.over
            taken.add(field)
            check_no_easier(terms, changed, state)
    assert taken
    assert not taken & set(FIXED)
    assert refused >= set(FIXED) & set(policy.__struct_fields__)


def check_no_easier(terms: Terms, changed: Terms, state: State) -> None:
    """What evidence rests on stays; nothing is promoted under new terms that would not have been under the old."""
    assert (changed.gates, changed.loss, changed.estimator, changed.kind) == (
        terms.gates, terms.loss, terms.estimator, terms.kind,
    )  # fmt: skip
    assert changed.hold_us >= terms.hold_us
    assert changed.minimum_units >= terms.minimum_units
    assert changed.coverage >= terms.coverage
    assert changed.deadline_us >= terms.deadline_us
    assert terms.approval is None or changed.approval is not None
    assert changed.steps[: state.step] == terms.steps[: state.step]
    days = (3,) if state.contest else (1, 3, 5)  # several are seen in many more ways
    for day, (_, evidence, facts) in product(days, situations(state)):
        then, now = (decide(one, state, evidence, facts, day * DAY) for one in (terms, changed))
        if now.kind == "promote" and state.approved is None:
            assert changed.approval is None
        if now.kind == "promote" and day * DAY < terms.deadline_us:
            assert then.kind == "promote", (then, now)
        later = changed.shadow_least_us > terms.shadow_least_us  # quality is looked at later: nobody meets it till then
        if then.verdict == "roll_back" and not later:
            assert now.verdict == "roll_back"


def test_units_that_are_held_out_change_no_strategy_but_by_who_is_drawn() -> None:
    for name, policy in POLICIES.items():
        held = agreed(msgspec.structs.replace(policy, holdout=0.2))
        assert msgspec.structs.replace(held, policy_digest="") == msgspec.structs.replace(
            agreed(policy), policy_digest=""
        ), name
