"""Why a release advances, stops or waits. Pure: no clock, no store, no randomness."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.errors import Conflict, Refused
from mainspring.ledger.actor import same_person
from mainspring.release.decision import Decision, Kind, Say, Verdict
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.proof import (
    STOPS,
    Missing,
    early,
    missing_approval,
    needs_proof,
    precise,
    stop_of,
    unproven,
    unsound,
)
from mainspring.release.several import bandit, bandit_at_horizon, contest, stopped
from mainspring.release.state import OVER, Approved, Contender, Facts, Seen, Stage, State, Status, Waiver
from mainspring.release.terms import QUALITY, Terms

__all__ = [
    "COMMANDS", "OVER", "STOPS", "Approved", "Command", "Contender", "Decision", "Facts", "Kind", "Seen", "Stage",
    "State", "Status", "Verdict", "Waiver", "acknowledged", "after", "command", "decide", "promotion",
]  # fmt: skip

Command = Literal["hold", "resume", "abort", "promote", "roll_back", "approve"]
COMMANDS: tuple[Command, ...] = ("hold", "resume", "abort", "promote", "roll_back", "approve")
STAGES: dict[str, Stage] = {"blue_green": "kept", "ab_test": "test"}  # else a canary


def decide(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Decision:
    """Return what happens to a release now. A stop dominates; only positive evidence advances; the rest waits."""
    decision = _decide(terms, state, evidence, facts, now_us)
    if not facts.seen:
        return decision
    return msgspec.structs.replace(decision, seen=facts.seen, earned=facts.earned)


def _decide(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Decision:
    say = Say(terms, state, evidence, now_us)
    if state.over:
        return say("wait", "inconclusive", "over", f"it is over: {state.status}")
    if facts.champion is not None and facts.champion in _challengers(state, facts):
        return say("return", "inconclusive", "champion_changed", "somebody made the challenger champion by hand")
    stop = _stop(say, terms, state, evidence, facts, now_us)
    if stop is not None:
        return stop
    if facts.champion != facts.compared_with:
        if state.stage == "shadow" and facts.champion is not None:
            return say("rebase", "inconclusive", "champion_changed", "the champion changed: compare with the new one")
        return say("return", "inconclusive", "champion_changed", f"the champion changed during {_NAMES[state.stage]}")
    late = _deadline(say, terms, state, evidence, facts, now_us)
    if late is not None:
        return late
    if state.status == "held":
        return say("wait", "inconclusive", "held", "a person holds it")
    if terms.strategy == "bandit":
        return bandit(say, terms, state, facts, now_us)
    if state.contest:
        return contest(say, terms, state, facts, now_us)
    missing = _missing(terms, state, evidence, facts, now_us)
    if missing:
        return _precise(say, terms, state, evidence) or say(
            "wait", "inconclusive", *missing[0], waiting=tuple(one[0] for one in missing)
        )
    return _onward(say, terms, state, evidence)


def promotion(state: State, warrant: Evidence | Waiver, reason: str, now_us: int) -> State:
    """Return the state after promotion, which nothing but evidence or a named waiver can bring about."""
    if not isinstance(warrant, Evidence | Waiver):
        raise Conflict("nothing is promoted without evidence or a named waiver", field="evidence")
    return _ended(state, "promoted", reason, now_us)


def command(
    terms: Terms, state: State, order: Command, by: str, reason: str, now_us: int, *, started_by: str = ""
) -> Decision:
    """Return a person's command as a decision. Abort is legal in every state; what is illegal is a ``Conflict``."""
    say = Say(terms, state, None, now_us, by=by)
    if order == "abort":
        if state.over:
            return say("wait", "inconclusive", "over", f"it is over: {state.status}")
        return say("abort", "roll_back", "aborted_by_hand", reason)
    if order == "roll_back" and state.status == "promoted":
        return say("roll_back", "roll_back", "rolled_back_by_hand", reason)
    if state.over:
        raise Conflict(f"the release is over: {state.status}", field="release", remedy="start another one")
    if order == "hold":
        return say("hold", "inconclusive", "held_by_hand", reason)
    if order == "resume":
        if state.status != "held":
            raise Conflict("the release is not held", field="release")
        return say("resume", "inconclusive", "resumed_by_hand", reason)
    if order == "approve":
        return _approve(say, terms, state, by, reason, started_by)
    if order == "promote":
        return _promote_by_hand(say, terms, state, reason)
    return say("roll_back", "roll_back", "rolled_back_by_hand", reason)


def after(state: State, decision: Decision, warrant: Evidence | Waiver | None = None) -> State:
    """Return the state that a decision leads to."""
    now_us = decision.at_us
    if decision.kind == "promote":
        if warrant is None:
            raise Conflict("nothing is promoted without evidence or a named waiver", field="evidence")
        return _with_contenders(promotion(state, warrant, decision.reason, now_us), decision)
    if decision.kind in _ENDS:
        return _with_contenders(_ended(state, _ENDS[decision.kind], decision.reason, now_us), decision)
    if decision.kind == "hold":
        return msgspec.structs.replace(state, status="held", reason=decision.reason)
    if decision.kind == "resume":
        return msgspec.structs.replace(state, status="running", reason=decision.reason)
    if decision.kind == "approve":
        return msgspec.structs.replace(state, approved=Approved(decision.by, now_us, decision.sentence))
    if decision.kind in ("drop", "reweigh"):
        moved = _with_contenders(msgspec.structs.replace(state, reason=decision.reason), decision)
        return _shares_set(moved, decision) if state.draws else moved
    if decision.kind == "advance":
        staged = msgspec.structs.replace(
            _restaged(state, now_us), stage=decision.stage, step=decision.step, reason=decision.reason
        )
        return _shares_set(_with_contenders(staged, decision), decision)
    if decision.kind == "rebase":
        return msgspec.structs.replace(
            _restaged(state, now_us),
            generation=None,
            epoch=state.epoch + 1,
            comparisons=state.comparisons + 1,
            reason=decision.reason,
        )
    return state


def acknowledged(state: State, generation: int, now_us: int) -> State:
    """Return the state once all live gateways have taken up the present stage."""
    if state.over or state.acknowledged_us is not None:
        return state
    first = generation if state.generation is None else state.generation
    return msgspec.structs.replace(state, generation=first, stage_generation=generation, acknowledged_us=now_us)


_ENDS: dict[str, Status] = {"roll_back": "rolled_back", "return": "returned", "abort": "aborted"}
_NAMES: dict[Stage, str] = {
    "shadow": "the shadow", "canary": "the canary", "kept": "the time that the old one was kept", "test": "the test",
    "bandit": "the bandit", "over": "its end",
}  # fmt: skip


def _restaged(state: State, now_us: int) -> State:
    return msgspec.structs.replace(
        state,
        stage_since_us=now_us,
        acknowledged_us=None,
        changed_generation=state.changed_generation if state.stage_generation is None else state.stage_generation,
        stage_generation=None,
    )


def _ended(state: State, status: Status, reason: str, now_us: int) -> State:
    return msgspec.structs.replace(
        state, status=status, stage="over", share=0.0, reason=reason, ended_us=now_us, stage_since_us=now_us
    )


def _with_contenders(state: State, decision: Decision) -> State:
    contenders = decision.contenders
    if state.over:
        contenders = tuple(msgspec.structs.replace(one, share=0.0) for one in contenders)
    return msgspec.structs.replace(state, contenders=contenders)


def _shares_set(state: State, decision: Decision) -> State:
    changes = (*state.share_changes, decision.at_us)
    return msgspec.structs.replace(state, share=decision.share, share_changes=changes, shares_us=decision.at_us)


def _challengers(state: State, facts: Facts) -> tuple[str, ...]:
    return (facts.challenger, *(one.version for one in state.contest)) if facts.challenger else ()


def _stop(
    say: Say, terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int
) -> Decision | None:
    if state.contest:
        return stopped(say, terms, state, facts, now_us)
    if facts.disabled:
        return say(
            "roll_back", "roll_back", "tripwire", f"it failed grossly and a gateway took it out: {facts.disabled}"
        )
    why = stop_of(evidence, young=early(terms, state, now_us))
    return None if why is None else say("roll_back", "roll_back", *why)


def _deadline(
    say: Say, terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int
) -> Decision | None:
    over = now_us >= state.started_us + terms.deadline_us
    shadow_ends_us = state.started_us + terms.shadow_us + terms.horizon_us
    in_shadow = state.stage == "shadow" and terms.estimator == "paired" and now_us >= shadow_ends_us
    if not over and not (in_shadow and not _proven(terms, state, evidence, facts)):
        return None
    if over and terms.strategy == "bandit":
        won = bandit_at_horizon(say, terms, state, facts, now_us)
        if won is not None:
            return won
    reason = "deadline" if over else "undecided_in_shadow"
    told = _difference(terms, evidence)
    if terms.on_deadline == "return":
        sentence = f"the time agreed is over without a decision: the champion stays{told}"
        return say("return", "inconclusive", reason, sentence)
    if state.status == "held":
        return None
    return say("hold", "inconclusive", reason, f"the time agreed is over without a decision: a person decides{told}")


def _proven(terms: Terms, state: State, evidence: Evidence | None, facts: Facts) -> bool:
    found = [facts.of(one.version).evidence for one in state.contest] if state.contest else [evidence]
    return terms.judged and any(one is not None and not unproven(terms, one, in_shadow=True) for one in found)


def _missing(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Missing:
    missing: Missing = []
    if state.acknowledged_us is None and terms.strategy != "immediate":
        missing.append(("not_acknowledged", "the gateways have not taken it up yet"))
    if evidence is None and terms.judged and terms.shadow_requests is None:
        return [*missing, ("no_evidence", f"nothing was measured yet{facts.uncounted}")]
    if state.stage == "shadow":
        return missing + _missing_in_shadow(terms, state, evidence, facts, now_us) + missing_approval(terms, state)
    held_us = now_us - (state.acknowledged_us if state.acknowledged_us is not None else now_us)
    if held_us < terms.hold_us:
        missing.append(("hold", "the share has not been held long enough"))
    if facts.step_requests < terms.step_requests and state.stage == "canary":
        missing.append(("few_requests", "the challenger has answered too few requests at this share"))
    if state.step == len(terms.steps):
        if needs_proof(terms, state):
            missing += _unready(terms, state, evidence, facts, now_us)
        missing += missing_approval(terms, state)
    return missing


def _missing_in_shadow(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Missing:
    missing: Missing = []
    if needs_proof(terms, state):
        if early(terms, state, now_us):
            missing.append(("early", "it has not been in shadow for the least time agreed"))
        missing += _unready(terms, state, evidence, facts, now_us)
    elif facts.shadow_requests < (terms.minimum_units if terms.shadow_requests is None else terms.shadow_requests):
        missing.append(("few_requests", "the challenger has scored too few rows in shadow"))
    if terms.steps and facts.another_draws:
        missing.append(("another_draws", "another release of this model draws traffic; one at a time"))
    return missing


def _unready(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Missing:
    if evidence is None:
        return [("no_evidence", f"nothing was measured yet{facts.uncounted}")]
    lacking = unproven(terms, evidence, facts.uncounted, in_shadow=state.stage == "shadow")
    return lacking + unsound(terms, evidence, now_us)


def _precise(say: Say, terms: Terms, state: State, evidence: Evidence | None) -> Decision | None:
    """End a test whose difference is known as closely as was asked; nothing is promoted by that."""
    if not precise(terms, state, evidence):
        return None
    sentence = f"the difference is known as closely as was asked: the champion stays{_difference(terms, evidence)}"
    return say("return", "inconclusive", "precise", sentence)


def _difference(terms: Terms, evidence: Evidence | None) -> str:
    """Say how much more the challenger earned, where rewards are compared."""
    quality = evidence.of(QUALITY) if evidence is not None else None
    if quality is None:
        return ""
    if terms.loss.metric != "reward":
        return " (asymptotic)" if quality.asymptotic else ""
    span = f"(no interval: {quality.withheld})"
    if quality.low is not None and quality.high is not None:
        span = f"[{-quality.high:+.4g}, {-quality.low:+.4g}]" + (", asymptotic," if quality.asymptotic else "")
    return f" (mean reward {-quality.estimate:+.4g} {span} against the champion's)"


def _onward(say: Say, terms: Terms, state: State, evidence: Evidence | None) -> Decision:
    if state.step < len(terms.steps):
        share, first = terms.steps[state.step], state.stage == "shadow"
        reason = "shadow_passed" if first else "step_passed"
        sentence = f"it answers for {share:.0%} of units" + (" after its shadow" if first else " from now on")
        if terms.strategy == "blue_green":
            reason, sentence = "switched", "it answers everything from now on; the version before it stays warm"
        if terms.strategy == "ab_test":
            reason, sentence = "began", f"it answers for {share:.0%} of units until the test is over"
        stage = STAGES.get(terms.strategy, "canary")
        return say("advance", "advance", reason, sentence, to=(stage, state.step + 1, share))
    if not terms.judged:
        kept = terms.strategy == "blue_green"
        reason, sentence = ("kept", "nothing called for the way back while the old version was kept") if kept else (
            "immediate", "the policy asks for no evidence"
        )  # fmt: skip
        return say("promote", "advance", reason, sentence, to=("over", state.step, 0.0))
    reason = "not_worse" if terms.kind == "refresh" else "better"
    words = "not worse by its margin" if terms.kind == "refresh" else "better than the champion"
    sentence = f"it is proven {words}{_difference(terms, evidence)}"
    return say("promote", "advance", reason, sentence, to=("over", state.step, 0.0))


def _approve(say: Say, terms: Terms, state: State, by: str, reason: str, started_by: str) -> Decision:
    if terms.approval is None:
        raise Conflict("asks for no approval", field="release", remedy="add one with: mainspring release change")
    if state.approved is not None:
        raise Conflict(f"was approved by {state.approved.by} already", field="release")
    if terms.approval.not_starter and same_person(by, started_by):
        raise Refused("started it, so somebody else must approve it", field="by", value=by)
    return say("approve", "inconclusive", "approved", reason)


def _promote_by_hand(say: Say, terms: Terms, state: State, reason: str) -> Decision:
    if missing_approval(terms, state):
        raise Conflict("needs its approval first", field="release", remedy="see: mainspring release approve")
    if state.contest:
        raise Conflict(
            "compares several challengers", field="release",
            remedy="abort it, and release the one that you mean by an immediate policy",
        )  # fmt: skip
    return say("promote", "advance", "promoted_by_hand", reason)
