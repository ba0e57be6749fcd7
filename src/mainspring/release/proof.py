"""What is proven, what is missing, and what stops: read off evidence, the same for every strategy. Pure."""

from __future__ import annotations

from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.stream import Gate, Measured
from mainspring.release.state import State
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

Missing = list[tuple[str, str]]


def early(terms: Terms, state: State, now_us: int) -> bool:
    """Tell whether a shadow is too young for its quality to be judged: nobody is harmed by waiting."""
    waits = state.stage == "shadow" and terms.estimator == "paired" and terms.shadow_least_us > 0
    return waits and now_us < state.stage_since_us + terms.shadow_least_us + terms.horizon_us


def needs_proof(terms: Terms, state: State) -> bool:
    """Tell whether the next step rests on proven quality: out of a shadow that judges it, and into the championship."""
    if not terms.judged:
        return False
    if state.stage == "shadow":
        return terms.shadow_requests is None and (terms.estimator == "paired" or not terms.steps)
    return state.step == len(terms.steps)


def stop_of(evidence: Evidence | None, *, young: bool) -> tuple[str, str] | None:
    """Return the reason and the sentence of the first comparison that stops, or None."""
    for one in evidence.measured if evidence is not None else ():
        if one.stops and not (young and one.name == QUALITY):
            return STOPS.get(one.name, (one.name, f"{one.name} is worse than the champion's by more than its margin"))
    return None


def unproven(terms: Terms, evidence: Evidence, uncounted: str = "", *, in_shadow: bool = False) -> Missing:
    """Return which metrics are not proven, and why not; ``uncounted`` tells what came and could not count.

    In shadow only those can be that need no draw. Guards prove nothing, but one without a bound must be readable.
    """
    missing: Missing = []
    for gate in terms.gates:
        if in_shadow and gate.estimator == "drawn" and gate.name != QUALITY:
            continue
        one = evidence.of(gate.name)
        matured = one.matured if one is not None else 0
        if gate.role != "metric":
            missing += _unread(gate, one)
        elif one is None or matured < terms.minimum_units:
            arm = " in its smaller arm" if gate.estimator == "drawn" else ""
            few = f"{gate.name} has {matured} matured units{arm} where {terms.minimum_units} are needed"
            missing.append(("few_units", f"{few}{uncounted}"))
        elif one.withheld:
            missing += _unread(gate, one)
        elif not one.good_enough:
            against = "the anchor" if gate.name == ANCHOR else "the champion"
            needed = "not worse" if gate.promote_margin else "better"
            missing.append(("not_proven", f"not yet proven {needed} than {against}"))
    return missing


def precise(terms: Terms, state: State, evidence: Evidence | None) -> bool:
    """Tell whether a test has found the difference as closely as was asked."""
    quality = evidence.of(QUALITY) if evidence is not None else None
    if state.stage != "test" or terms.precision is None or quality is None or quality.matured < terms.minimum_units:
        return False
    if quality.low is None or quality.high is None:
        return False
    return (quality.high - quality.low) / 2.0 <= terms.precision


def _unread(gate: Gate, one: Measured | None) -> Missing:
    """Return why a comparison without a bound cannot be read; a guard that nobody can read lets nothing pass."""
    if gate.bound is not None or (one is not None and not one.withheld):
        return []
    return [("withheld", f"{gate.name} has no asymptotic interval yet: {one.withheld if one else 'no unit is mature'}")]


def unsound(terms: Terms, evidence: Evidence, now_us: int) -> Missing:
    """Return why the evidence cannot be relied on at this moment."""
    missing: Missing = []
    if evidence.coverage < terms.coverage * terms.sample:
        missing.append(("shadow_incomplete", "too many of the champion's rows were not scored in shadow"))
    newest = evidence.newest_label_us
    if newest is None or now_us - newest > 2 * terms.horizon_us:
        missing.append(("stale", "no outcome has come for twice the time that it usually takes"))
    return missing


def missing_approval(terms: Terms, state: State) -> Missing:
    """Return that a person has not signed off yet, where the policy asks for it."""
    if terms.approval is None or state.approved is not None:
        return []
    whose = f"nobody with the role {terms.approval.role}" if terms.approval.role else "nobody"
    return [("approval", f"{whose} has approved it yet")]
