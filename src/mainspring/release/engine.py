"""Why a release advances, stops or waits. Pure: no clock, no store, no randomness."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.kernel.errors import Conflict
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.terms import (
    ANCHOR,
    FAILED,
    LABEL,
    LABELLED,
    LATE,
    QUALITY,
    RATIO,
    RATIO_LABELLED,
    SHADOW_FAILED,
    SHADOW_LATE,
    Terms,
)

Status = Literal["running", "held", "promoted", "rolled_back", "returned", "aborted"]
Stage = Literal["shadow", "canary", "over"]
Kind = Literal[
    "start", "wait", "advance", "promote", "roll_back", "return", "hold", "resume", "abort", "rebase"
]  # fmt: skip
Verdict = Literal["advance", "roll_back", "inconclusive"]
Command = Literal["hold", "resume", "abort", "promote", "roll_back"]
COMMANDS: tuple[Command, ...] = ("hold", "resume", "abort", "promote", "roll_back")
OVER: tuple[Status, ...] = ("promoted", "rolled_back", "returned", "aborted")

STOPS = {
    QUALITY: ("quality_worse", "its answers are worse than the champion's"),
    SHADOW_FAILED: ("failures", "it fails more often than the champion on the same rows"),
    SHADOW_LATE: ("late", "it answers late more often than the champion on the same rows"),
    FAILED: ("failures", "units drawn to it met more failures"),
    LATE: ("late", "units drawn to it met more late answers"),
    LABEL: ("label_moved", "its answers change the outcome, so paired evidence is void"),
    LABELLED: ("labelled_share_moved", "its answers change how many outcomes become known"),
    RATIO: ("sample_ratio", "units do not reach it as often as the draw says"),
    RATIO_LABELLED: ("sample_ratio_labelled", "labelled units are not split as the draw says"),
}


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a release stands. ``step`` counts the shares reached (0 in shadow); ``share`` is what it draws now.

    ``generation``: evidence counts from this one. ``stage_generation`` and ``acknowledged_us``: with which and when the
    gateways had taken the present stage up; ``changed_generation``: which they had when it was decided.
    """

    status: Status = "running"
    stage: Stage = "shadow"
    step: int = 0
    share: float = 0.0
    epoch: int = 1
    started_us: int = 0
    stage_since_us: int = 0
    changed_generation: int = -1
    generation: int | None = None
    stage_generation: int | None = None
    acknowledged_us: int | None = None
    ended_us: int | None = None
    reason: str = ""
    share_changes: tuple[int, ...] = ()
    comparisons: int = 1

    @property
    def over(self) -> bool:
        return self.status in OVER


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is so at this moment beside the evidence. ``disabled``: why a gateway took the challenger out by itself."""

    champion: str | None
    compared_with: str
    challenger: str = ""
    disabled: str = ""
    another_draws: bool = False
    step_requests: int = 0
    shadow_requests: int = 0
    too_late_outcomes: int = 0
    best_effort_rows: int = 0

    @property
    def uncounted(self) -> str:
        """Say what came and could not count, in brackets; nothing where all of it counted."""
        said = []
        if self.too_late_outcomes:
            said.append(f"{self.too_late_outcomes} outcomes came too late")
        if self.best_effort_rows:
            said.append(f"{self.best_effort_rows} rows were logged under best_effort, which cannot promote")
        return f" ({'; '.join(said)})" if said else ""


class Waiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's (or a declared policy's) word in place of evidence: who, and why. The ledger names both."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip():
            raise Conflict("a promotion without evidence needs a name and a reason", field="reason")


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a release with its reason and numbers: what is stored, shown and tested.

    ``stage``, ``step`` and ``share`` are those after it. ``waiting`` names what is still missing.
    """

    kind: Kind
    verdict: Verdict
    reason: str
    sentence: str
    at_us: int
    stage: Stage
    step: int
    share: float
    measured: tuple[Measured, ...] = ()
    units: int = 0
    coverage: float | None = None
    labelled_share: float | None = None
    waiting: tuple[str, ...] = ()
    by: str = ""
    terms_digest: str = ""

    def numbers(self) -> dict[str, Any]:
        """Return what the ledger keeps beside the reason."""
        body: dict[str, Any] = msgspec.to_builtins(self)
        for key in ("kind", "sentence", "at_us", "by"):
            del body[key]
        return {**body, "measured": {one.pop("name"): one for one in body["measured"]}}


def decide(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> Decision:
    """Return what happens to a release now. A stop dominates; only positive evidence advances; the rest waits."""
    say = _Say(terms, state, evidence, now_us)
    if state.over:
        return say("wait", "inconclusive", "over", f"it is over: {state.status}")
    if facts.champion == facts.challenger and facts.challenger:
        return say("return", "inconclusive", "champion_changed", "somebody made the challenger champion by hand")
    stopped = _stop(say, evidence, facts, early=_early(terms, state, now_us))
    if stopped is not None:
        return stopped
    if facts.champion != facts.compared_with:
        if state.stage == "shadow" and facts.champion is not None:
            return say("rebase", "inconclusive", "champion_changed", "the champion changed: compare with the new one")
        return say("return", "inconclusive", "champion_changed", "the champion changed during the canary")
    late = _deadline(say, terms, state, evidence, now_us)
    if late is not None:
        return late
    if state.status == "held":
        return say("wait", "inconclusive", "held", "a person holds it")
    missing = _missing(terms, state, evidence, facts, now_us)
    if missing or evidence is None:
        return say("wait", "inconclusive", missing[0][0], missing[0][1], waiting=tuple(one[0] for one in missing))
    return _onward(say, terms, state, evidence)


def promotion(state: State, warrant: Evidence | Waiver, reason: str, now_us: int) -> State:
    """Return the state after promotion, which nothing but evidence or a named waiver can bring about."""
    if not isinstance(warrant, Evidence | Waiver):
        raise Conflict("nothing is promoted without evidence or a named waiver", field="evidence")
    return _ended(state, "promoted", reason, now_us)


def command(terms: Terms, state: State, order: Command, by: str, reason: str, now_us: int) -> Decision:
    """Return a person's command as a decision. Abort is legal in every state; what is illegal is a ``Conflict``."""
    say = _Say(terms, state, None, now_us, by=by)
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
    if order == "promote":
        return say("promote", "advance", "promoted_by_hand", reason)
    return say("roll_back", "roll_back", "rolled_back_by_hand", reason)


def after(state: State, decision: Decision, warrant: Evidence | Waiver | None = None) -> State:
    """Return the state that a decision leads to."""
    now_us = decision.at_us
    if decision.kind == "promote":
        if warrant is None:
            raise Conflict("nothing is promoted without evidence or a named waiver", field="evidence")
        return promotion(state, warrant, decision.reason, now_us)
    if decision.kind in _ENDS:
        return _ended(state, _ENDS[decision.kind], decision.reason, now_us)
    if decision.kind == "hold":
        return msgspec.structs.replace(state, status="held", reason=decision.reason)
    if decision.kind == "resume":
        return msgspec.structs.replace(state, status="running", reason=decision.reason)
    if decision.kind == "advance":
        return msgspec.structs.replace(
            _restaged(state, now_us),
            stage="canary",
            step=decision.step,
            share=decision.share,
            reason=decision.reason,
            share_changes=(*state.share_changes, now_us),
        )
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


def _early(terms: Terms, state: State, now_us: int) -> bool:
    """Tell whether a shadow is too young for its quality to be judged: nobody is harmed by waiting."""
    waits = state.stage == "shadow" and terms.estimator == "paired" and terms.shadow_least_us > 0
    return waits and now_us < state.stage_since_us + terms.shadow_least_us + terms.horizon_us


def _stop(say: _Say, evidence: Evidence | None, facts: Facts, *, early: bool) -> Decision | None:
    if facts.disabled:
        return say(
            "roll_back", "roll_back", "tripwire", f"it failed grossly and a gateway took it out: {facts.disabled}"
        )
    for one in evidence.measured if evidence is not None else ():
        if one.stops and not (early and one.name == QUALITY):
            reason, sentence = STOPS[one.name]
            return say("roll_back", "roll_back", reason, sentence)
    return None


def _deadline(say: _Say, terms: Terms, state: State, evidence: Evidence | None, now_us: int) -> Decision | None:
    over = now_us >= state.started_us + terms.deadline_us
    shadow_ends_us = state.started_us + terms.shadow_us + terms.horizon_us
    proven = evidence is not None and terms.estimator == "paired" and not _unproven(terms, evidence)
    undecided = state.stage == "shadow" and terms.estimator == "paired" and now_us >= shadow_ends_us and not proven
    if not over and not undecided:
        return None
    reason = "deadline" if over else "undecided_in_shadow"
    if terms.on_deadline == "return":
        return say("return", "inconclusive", reason, "the time agreed is over without a decision: the champion stays")
    if state.status == "held":
        return None
    return say("hold", "inconclusive", reason, "the time agreed is over without a decision: a person decides")


def _missing(terms: Terms, state: State, evidence: Evidence | None, facts: Facts, now_us: int) -> list[tuple[str, str]]:
    missing: list[tuple[str, str]] = []
    if state.acknowledged_us is None:
        missing.append(("not_acknowledged", "the gateways have not taken it up yet"))
    if evidence is None:
        return [*missing, ("no_evidence", f"nothing was measured yet{facts.uncounted}")]
    if state.stage == "canary":
        held_us = now_us - (state.acknowledged_us if state.acknowledged_us is not None else now_us)
        if held_us < terms.hold_us:
            missing.append(("hold", "the share has not been held long enough"))
        if facts.step_requests < terms.step_requests:
            missing.append(("few_requests", "the challenger has answered too few requests at this share"))
        if state.step == len(terms.steps):
            missing += _unproven(terms, evidence, facts.uncounted) + _unsound(terms, evidence, now_us)
        return missing
    if terms.estimator == "paired" or not terms.steps:
        if _early(terms, state, now_us):
            missing.append(("early", "it has not been in shadow for the least time agreed"))
        missing += _unproven(terms, evidence, facts.uncounted) + _unsound(terms, evidence, now_us)
    elif facts.shadow_requests < terms.minimum_units:
        missing.append(("few_requests", "the challenger has scored too few rows in shadow"))
    if terms.steps and facts.another_draws:
        missing.append(("another_draws", "another release of this model draws traffic; one at a time"))
    return missing


def _unproven(terms: Terms, evidence: Evidence, uncounted: str = "") -> list[tuple[str, str]]:
    missing: list[tuple[str, str]] = []
    for gate in terms.gates:
        if gate.role != "metric":
            continue
        one = evidence.of(gate.name)
        if one is None or one.matured < terms.minimum_units:
            missing.append(("few_units", f"too few matured units for {gate.name}{uncounted}"))
        elif not one.good_enough:
            against = "the anchor" if gate.name == ANCHOR else "the champion"
            needed = "not worse" if gate.promote_margin else "better"
            missing.append(("not_proven", f"not yet proven {needed} than {against}"))
    return missing


def _unsound(terms: Terms, evidence: Evidence, now_us: int) -> list[tuple[str, str]]:
    missing: list[tuple[str, str]] = []
    if evidence.coverage < terms.coverage:
        missing.append(("shadow_incomplete", "too many of the champion's rows were not scored in shadow"))
    newest = evidence.newest_label_us
    if newest is None or now_us - newest > 2 * terms.horizon_us:
        missing.append(("stale", "no outcome has come for twice the time that it usually takes"))
    return missing


def _onward(say: _Say, terms: Terms, state: State, evidence: Evidence) -> Decision:
    if state.step < len(terms.steps):
        share = terms.steps[state.step]
        first = state.stage == "shadow"
        reason = "shadow_passed" if first else "step_passed"
        sentence = f"it answers for {share:.0%} of units" + (" after its shadow" if first else " from now on")
        return say("advance", "advance", reason, sentence, to=("canary", state.step + 1, share))
    reason = "not_worse" if terms.kind == "refresh" else "better"
    words = "not worse by its margin" if terms.kind == "refresh" else "better than the champion"
    return say("promote", "advance", reason, f"it is proven {words}", to=("over", state.step, 0.0))


class _Say:
    """Fills a decision with the numbers that it was taken on."""

    def __init__(self, terms: Terms, state: State, evidence: Evidence | None, now_us: int, *, by: str = "") -> None:
        self._evidence, self._state, self._now_us, self._by = evidence, state, now_us, by
        self._digest = terms.digest()

    def __call__(
        self,
        kind: Kind,
        verdict: Verdict,
        reason: str,
        sentence: str,
        *,
        to: tuple[Stage, int, float] | None = None,
        waiting: tuple[str, ...] = (),
    ) -> Decision:
        evidence, state = self._evidence, self._state
        ends = kind in _ENDS or kind == "promote"
        stage, step, share = to or (("over", state.step, 0.0) if ends else (state.stage, state.step, state.share))
        return Decision(
            kind=kind,
            verdict=verdict,
            reason=reason,
            sentence=sentence,
            at_us=self._now_us,
            stage=stage,
            step=step,
            share=share,
            measured=evidence.measured if evidence is not None else (),
            units=evidence.units if evidence is not None else 0,
            coverage=evidence.coverage if evidence is not None else None,
            labelled_share=evidence.labelled_share if evidence is not None else None,
            waiting=waiting,
            by=self._by,
            terms_digest=self._digest,
        )
