"""Why one of several challengers is taken out, goes on, or wins: contests in shadow, and bandits. Pure."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.decision import Decision, Say
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.proof import early, missing_approval, stop_of, unproven, unsound
from mainspring.release.shares import allocate, chances, seed_of
from mainspring.release.state import Contender, Facts, State
from mainspring.release.terms import QUALITY, Allocation, Terms

MOVED = 0.01  # shares that move by less are left as they are: chances are drawn, and waver by so much

Missing = list[tuple[str, str]]


def stopped(say: Say, terms: Terms, state: State, facts: Facts, now_us: int) -> Decision | None:
    """Take out what failed or is proven worse; when nobody is left, the release is over."""
    young = early(terms, state, now_us)
    out: dict[str, tuple[str, str]] = {}
    for one in state.contest:
        seen = facts.of(one.version)
        why = ("tripwire", f"it failed grossly and a gateway took it out: {seen.disabled}") if seen.disabled else None
        why = why or stop_of(seen.evidence, young=young)
        if why is not None:
            out[one.version] = why
    if not out:
        return None
    contenders = tuple(
        _closed(one, "taken_out", out[one.version][0], facts) if one.version in out else one for one in state.contenders
    )
    left = [one for one in contenders if one.status == "running"]
    reason, sentence = next(iter(out.values()))
    numbers = ", ".join(f"v{one.number}" for one in state.contest if one.version in out)
    if not left:
        return say(
            "roll_back", "roll_back", reason, f"no challenger is left: {numbers}: {sentence}", contenders=contenders,
            evidence=_evidence(facts, next(iter(out))),
        )  # fmt: skip
    contenders = _shared_evenly(contenders, left, state)
    return say(
        "drop", "inconclusive", reason, f"{numbers} is out: {sentence}", contenders=contenders,
        to=(state.stage, state.step, _drawn(contenders)), evidence=_evidence(facts, next(iter(out))),
    )  # fmt: skip


def contest(say: Say, terms: Terms, state: State, facts: Facts, now_us: int) -> Decision:
    """Send the best of those that are proven into the canary; the others are archived with their scores."""
    missing = _not_begun(terms, state, facts)
    proven: list[tuple[float, Contender, Evidence]] = []
    lacking: Missing = []
    for one in state.contest:
        evidence = facts.of(one.version).evidence
        if evidence is None:
            lacking.append(("no_evidence", f"nothing was measured yet{facts.uncounted}"))
            continue
        open_still = unproven(terms, evidence, facts.uncounted) + unsound(terms, evidence, now_us)
        quality = evidence.of(QUALITY)
        if open_still or quality is None:
            lacking += open_still
        else:
            proven.append((quality.estimate, one, evidence))
    if early(terms, state, now_us):
        missing.append(("early", "it has not been in shadow for the least time agreed"))
    missing += missing_approval(terms, state)
    if not proven:
        missing += lacking[:1]
    if missing:
        waiting = tuple(dict.fromkeys(one[0] for one in missing))
        return say("wait", "inconclusive", *missing[0], waiting=waiting, evidence=leading(state, facts))
    _, winner, evidence = min(proven, key=lambda one: (one[0], one[1].number))
    contenders = tuple(
        msgspec.structs.replace(one, status="won") if one.version == winner.version
        else _closed(one, "archived", "lost", facts) if one.status == "running" else one
        for one in state.contenders
    )  # fmt: skip
    share = terms.steps[0]
    others = len(state.contenders) - 1
    against = f" against {others} other{'s' if others > 1 else ''}" if others else ""
    sentence = f"v{winner.number} has won{against} and answers for {share:.0%} of units"
    return say(
        "advance", "advance", "won", sentence, to=("canary", 1, share), contenders=contenders, winner=winner.version,
        evidence=evidence,
    )  # fmt: skip


def bandit(say: Say, terms: Terms, state: State, facts: Facts, now_us: int) -> Decision:
    """Begin with equal shares, then set them by what was earned; promote the leader once it is proven better."""
    rule = _rule(terms)
    if state.stage == "shadow":
        missing = _not_begun(terms, state, facts) + missing_approval(terms, state)
        if missing:
            return say("wait", "inconclusive", *missing[0], waiting=tuple(one[0] for one in missing))
        return _set(
            say, state, np.full(len(state.contest) + 1, 1.0 / (len(state.contest) + 1)), "began",
            "it draws among all versions alike from now on", facts,
        )  # fmt: skip
    if state.acknowledged_us is None:
        missing = [("not_acknowledged", "the gateways have not taken it up yet")]
        return say("wait", "inconclusive", *missing[0], waiting=("not_acknowledged",), evidence=leading(state, facts))
    earned = _earnings(state, facts)
    chance = chances(earned, seed_of(facts.salt, now_us), bounded=rule.bounded)
    won = _winner(terms, state, facts, chance, now_us, least=rule.confidence)
    if won is not None and not missing_approval(terms, state):
        return _won(say, state, facts, won)
    shares = allocate(chance, rule, earned)
    moved = float(np.abs(shares[1:] - np.array([one.share for one in state.contest])).max())
    if now_us - state.shares_us >= rule.update_us and moved >= MOVED and any(one.n for one in earned):
        return _set(say, state, shares, "shares_moved", "shares follow what each version has earned", facts)
    waiting = [_unwon(terms, state, facts, chance, now_us, least=rule.confidence)]
    waiting += missing_approval(terms, state)
    return say(
        "wait", "inconclusive", *waiting[0], waiting=tuple(one[0] for one in waiting), evidence=leading(state, facts)
    )


def bandit_at_horizon(say: Say, terms: Terms, state: State, facts: Facts, now_us: int) -> Decision | None:
    """At its end a bandit promotes a version that is proven better, and the likeliest best, whatever its chance."""
    if state.stage != "bandit" or state.acknowledged_us is None or state.status == "held":
        return None
    if missing_approval(terms, state):
        return None
    seed, bounded = seed_of(facts.salt, now_us), _rule(terms).bounded
    chance = chances(_earnings(state, facts), seed, bounded=bounded)
    won = _winner(terms, state, facts, chance, now_us, least=0.0)
    return None if won is None else _won(say, state, facts, won)


def _winner(terms: Terms, state: State, facts: Facts, chance: Floats, now_us: int, *, least: float) -> Contender | None:
    leader = int(chance.argmax())
    if leader == 0 or chance[leader] < least:
        return None
    one = state.contest[leader - 1]
    evidence = facts.of(one.version).evidence
    if evidence is None or unproven(terms, evidence) or unsound(terms, evidence, now_us):
        return None
    return one


def _unwon(terms: Terms, state: State, facts: Facts, chance: Floats, now_us: int, *, least: float) -> tuple[str, str]:
    """Return why nobody has won yet: what the likeliest best lacks."""
    leader = int(chance.argmax())
    if leader == 0:
        return "not_proven", "no version is yet proven to earn more than the champion"
    one = state.contest[leader - 1]
    evidence = facts.of(one.version).evidence
    if evidence is None:
        return "no_evidence", f"nothing was measured yet{facts.uncounted}"
    lacking = unproven(terms, evidence, facts.uncounted) + unsound(terms, evidence, now_us)
    if any(code == "not_proven" for code, _ in lacking):
        return "not_proven", "no version is yet proven to earn more than the champion"
    if lacking:
        code, sentence = lacking[0]
        return code, f"v{one.number} leads, but {sentence}" if code in ("few_units", "withheld") else sentence
    if chance[leader] < least:
        best = f"v{one.number} is the best with a chance of {float(chance[leader]):.0%}"
        return "not_sure_of_best", f"{best}, of {least:.0%} asked"
    return "not_proven", "no version is yet proven to earn more than the champion"


def _won(say: Say, state: State, facts: Facts, winner: Contender) -> Decision:
    contenders = tuple(
        msgspec.structs.replace(one, status="won", share=0.0) if one.version == winner.version
        else _closed(one, "archived", "lost", facts) if one.status == "running" else one
        for one in state.contenders
    )  # fmt: skip
    return say(
        "promote", "advance", "better", f"v{winner.number} is proven to earn more than the champion",
        to=("over", state.step, 0.0), contenders=contenders, winner=winner.version,
        evidence=_evidence(facts, winner.version),
    )  # fmt: skip


def _set(say: Say, state: State, shares: Floats, reason: str, sentence: str, facts: Facts) -> Decision:
    """``shares`` are those of the champion and of each challenger that is in the running, in their order."""
    given = {one.version: round(float(share), 6) for one, share in zip(state.contest, shares[1:], strict=True)}
    contenders = tuple(msgspec.structs.replace(one, share=given.get(one.version, 0.0)) for one in state.contenders)
    told = ", ".join(f"v{one.number} {one.share:.0%}" for one in contenders if one.status == "running")
    first = state.stage == "shadow"
    return say(
        "advance" if first else "reweigh", "advance" if first else "inconclusive", reason, f"{sentence}: {told}",
        to=("bandit", max(state.step, 1), _drawn(contenders)), contenders=contenders, evidence=leading(state, facts),
    )  # fmt: skip


def _not_begun(terms: Terms, state: State, facts: Facts) -> Missing:
    missing: Missing = []
    if state.acknowledged_us is None:
        missing.append(("not_acknowledged", "the gateways have not taken it up yet"))
    if facts.another_draws:
        missing.append(("another_draws", "another release of this model draws traffic; one at a time"))
    return missing


def _closed(one: Contender, status: str, reason: str, facts: Facts) -> Contender:
    evidence = facts.of(one.version).evidence
    scores: tuple[Measured, ...] = evidence.measured if evidence is not None else ()
    return Contender(one.version, one.number, 0.0, status, reason, scores)  # type: ignore[arg-type]


def _shared_evenly(contenders: tuple[Contender, ...], left: list[Contender], state: State) -> tuple[Contender, ...]:
    """Those who are left keep their shares: what the other had goes to the champion until shares are set again."""
    if state.stage != "bandit":
        return contenders
    return tuple(one if one in left else msgspec.structs.replace(one, share=0.0) for one in contenders)


def _drawn(contenders: tuple[Contender, ...]) -> float:
    return round(sum(one.share for one in contenders), 6)


def _earnings(state: State, facts: Facts) -> list[Earned]:
    return [facts.earned or Earned(), *(facts.of(one.version).earned or Earned() for one in state.contest)]


def _evidence(facts: Facts, version: str) -> Evidence | None:
    return facts.of(version).evidence


def leading(state: State, facts: Facts) -> Evidence | None:
    """Return the evidence of whoever does best so far: what is shown while nothing is decided."""
    known = [evidence for one in state.contest if (evidence := _evidence(facts, one.version)) is not None]

    def estimate(evidence: Evidence) -> float:
        quality = evidence.of(QUALITY)
        return quality.estimate if quality is not None else float("inf")

    return min(known, key=estimate, default=None)


def _rule(terms: Terms) -> Allocation:
    if terms.allocation is None:
        raise TypeError("the terms of a bandit have no allocation")
    return terms.allocation
