"""A decision among several challengers again: what each had shown, who was out, who had won, which shares followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from mainspring.kernel.ids import digest_of
from mainspring.release.decision import Decision, Say
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.gathered import Books, Evidence, evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.gather import gather_several_until
from mainspring.release.history import Moment, Recomputed, first_difference
from mainspring.release.several import bandit, bandit_at_horizon, contest, leading, stopped
from mainspring.release.shares import DRAWS, allocate, chances, seed_of
from mainspring.release.state import Facts, Seen

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog

_BESIDE_THE_LOG = ("held", "another_draws", "not_acknowledged", "shadow_incomplete", "stale")
ALIKE = 4 / DRAWS  # sums that round differently may tip a draw or two of those that chances are counted from


def contested(log: PredictionLog, moment: Moment) -> Recomputed:
    """Return a decision among several challengers as the log gives it."""
    record, decision = moment.record, moment.decision
    books = moment.books()
    if decision.counted_us:
        books = gather_several_until(log, record, books, decision.counted_us)
    facts = _facts(moment, books)
    now = _decided(moment, facts)
    shares = _shares(moment, facts)
    difference = (
        first_difference(decision.measured, _shown(moment, facts)) or _outcome(decision, now) or _places(decision, now)
    )
    told = {str(one.number): share for one, share in zip(record.state.contest, shares, strict=False)}
    return moment.again(difference, measured=_shown(moment, facts), shares=told)


def _facts(moment: Moment, books: Books) -> Facts:
    record, at_us = moment.record, moment.decision.at_us
    terms = record.terms

    def shown(version: str) -> Evidence | None:
        # An outcome had come by then, or else the decision would have waited for being stale.
        counted = msgspec.structs.replace(books.arms.get(version, Books()), newest_label_us=at_us)
        return evidence(counted, terms.gates, terms.alpha_ratio)

    return Facts(
        champion=record.champion,
        compared_with=record.champion,
        challenger=record.challenger,
        seen=tuple(
            Seen(one.version, shown(one.version), books.earned.get(one.version)) for one in record.state.contest
        ),
        earned=books.earned.get(record.champion),
        salt=digest_of([record.salt_base, record.state.epoch])[:16],
    )


def _decided(moment: Moment, facts: Facts) -> Decision:
    """Return what the engine decides on the facts from the log."""
    record, at_us = moment.record, moment.decision.at_us
    terms, state = record.terms, record.state
    say = Say(terms, state, None, at_us)
    out = stopped(say, terms, state, facts, at_us)
    if out is not None:
        return out
    if terms.strategy != "bandit":
        return contest(say, terms, state, facts, at_us)
    if moment.decision.reason == "better" and at_us >= state.started_us + terms.deadline_us:
        won = bandit_at_horizon(say, terms, state, facts, at_us)
        if won is not None:
            return won
    return bandit(say, terms, state, facts, at_us)


def _shares(moment: Moment, facts: Facts) -> list[float]:
    record, decision = moment.record, moment.decision
    rule = record.terms.allocation
    if rule is None or record.state.stage == "shadow":
        return []
    earned = [facts.earned or Earned(), *(facts.of(one.version).earned or Earned() for one in record.state.contest)]
    chance = chances(earned, seed_of(facts.salt, decision.at_us), bounded=rule.bounded)
    found = allocate(chance, rule, earned)
    return [round(float(share), 6) for share in found[1:]]


def _shown(moment: Moment, facts: Facts) -> tuple[Measured, ...]:
    """Return the comparison that was stored: the winner's, that of the first who is out, or the best one's."""
    decision, state = moment.decision, moment.record.state
    if not decision.measured:
        return ()
    out = [one.version for one in decision.contenders if one.status == "taken_out"]
    first = next((one.version for one in state.contest if one.version in out), "")
    named = decision.winner or (first if decision.kind in ("drop", "roll_back") else "")
    found = facts.of(named).evidence if named else leading(state, facts)
    return found.measured if found is not None else ()


def _outcome(decision: Decision, now: Decision) -> str:
    """Return which way it went, if the log gives another one; of a deadline and a person's hold it knows nothing."""
    if decision.kind in ("return", "hold") or (decision.kind == "wait" and now.kind == "wait"):
        return ""
    if decision.kind == "wait" and decision.reason in _BESIDE_THE_LOG:
        return ""
    if (decision.kind, decision.winner) != (now.kind, now.winner):
        return f"it was to {decision.kind} ({decision.reason}); the log gives {now.kind} ({now.reason})"
    return ""


def _places(decision: Decision, now: Decision) -> str:
    """Return the first challenger whose state, scores or share the log gives otherwise."""
    if decision.kind in ("return", "hold", "wait"):
        return ""
    for one, other in zip(decision.contenders, now.contenders, strict=True):
        if one.status != other.status:
            return f"version {one.number} was {one.status}; the log gives {other.status}"
        scores = first_difference(one.scores, other.scores)
        if scores:
            return f"version {one.number}: {scores}"
        if not np.isclose(one.share, other.share, rtol=0.0, atol=ALIKE):
            return f"version {one.number}: share was {one.share}, the log gives {other.share}"
    return ""
