"""Each decision worked out again from the prediction log, and compared with what was stored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from mainspring.kernel.duration import show_duration
from mainspring.registry.alias import CHAMPION
from mainspring.release.evidence.gathered import Evidence, evidence
from mainspring.release.gather import gather_until
from mainspring.release.history import History, Moment, Recomputed, first_difference
from mainspring.release.proof import early, needs_proof, precise, stop_of, unproven
from mainspring.release.recontest import contested

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog
    from mainspring.registry.service import Registry

_ON_PROOF = ("few_units", "not_proven")


def recompute(log: PredictionLog, registry: Registry, history: History) -> list[Recomputed]:
    """Return every stored decision but those that only waited for a first row, from the log as it was known then."""
    return [_one(log, registry, moment) for moment in history.moments()]


def _one(log: PredictionLog, registry: Registry, moment: Moment) -> Recomputed:
    decision, record = moment.decision, moment.record
    if decision.by:
        return moment.again(f"{decision.by} decided it: the ledger says so, not the log", known=False)
    if decision.reason == "tripwire":
        return moment.again(_gateway_saw(log, moment), known=False)
    if decision.reason == "champion_changed":
        same = registry.alias(record.model, CHAMPION, decision.at_us)
        stands = same is not None and same.id == record.champion
        return moment.again("the champion was still the one that it was compared with" if stands else "")
    if not moment.known:
        return moment.again("the policy that it was taken by is stored nowhere", known=False)
    early = _unapproved(moment) or _too_soon(moment)
    if early:
        return moment.again(early)
    if decision.measured and len(decision.counted_us) != 4:
        return moment.again("it was stored without saying how far rows had been counted", known=False)
    if record.state.contest:
        return contested(log, moment)
    if not decision.measured:
        return moment.again("it rests on the time and on counts of requests, not on a comparison", known=False)
    books = gather_until(log, record, moment.books(), decision.counted_us)
    found = evidence(books, record.terms.gates, record.terms.alpha_ratio)
    measured = found.measured if found is not None else ()
    difference = first_difference(decision.measured, measured) or _otherwise(moment, found)
    return moment.again(difference, measured=measured)


def _unapproved(moment: Moment) -> str:
    """Tell whether the challenger was shown to somebody, or promoted, before a person had signed it off."""
    shown = moment.decision.kind == "promote" or (moment.decision.kind == "advance" and moment.decision.step == 1)
    missing = shown and moment.record.terms.approval is not None and moment.record.state.approved is None
    return "nobody had approved it" if missing else ""


def _too_soon(moment: Moment) -> str:
    """Tell whether it came before its policy let it: a share not yet held, or a time agreed that was not over."""
    decision, terms, state = moment.decision, moment.record.terms, moment.record.state
    if decision.reason == "deadline" and decision.at_us < state.started_us + terms.deadline_us:
        return "the time agreed was not over"
    shadow_us = terms.shadow_us + terms.horizon_us
    if decision.reason == "undecided_in_shadow" and decision.at_us < state.started_us + shadow_us:
        return "its shadow was not over"
    onward = decision.kind in ("advance", "promote") and state.draws and not state.contest
    if onward and decision.at_us < state.stage_since_us + terms.hold_us:
        held, agreed = (
            show_duration(timedelta(microseconds=us)) for us in (decision.at_us - state.stage_since_us, terms.hold_us)
        )
        return f"its share had been held for {held} of {agreed}"
    return ""


def _otherwise(moment: Moment, found: Evidence | None) -> str:
    """Return what the evidence says by the policy of that moment, where the decision says another thing."""
    decision, terms, state = moment.decision, moment.record.terms, moment.record.state
    said = f"it was to {decision.kind.replace('_', ' ')} ({decision.reason})"
    stop = stop_of(found, young=early(terms, state, decision.at_us))
    if decision.kind == "roll_back" or stop is not None:
        wanted = stop[0] if stop is not None else "nothing that stops"
        agrees = decision.kind == "roll_back" and wanted == decision.reason
        return "" if agrees else f"{said}; the log gives {wanted}"
    if decision.reason == "precise":
        return "" if precise(terms, state, found) else f"{said}; the log does not give it so closely"
    if not needs_proof(terms, state):
        return ""
    lacking = [] if found is None else unproven(terms, found, in_shadow=state.stage == "shadow")
    if decision.kind in ("advance", "promote") and lacking:
        return f"{said}; the log gives {lacking[0][0]}: {lacking[0][1]}"
    if decision.kind == "wait" and decision.reason in _ON_PROOF and not lacking:
        return f"{said}; the log gives proof enough"
    return ""


def _gateway_saw(log: PredictionLog, moment: Moment) -> str:
    """Say what the log holds of what a gateway acted on by itself: its own count, request by request, is nowhere."""
    record, decision = moment.record, moment.decision
    versions = [one.version for one in record.state.contest] or [record.challenger]
    taken_out = [one.version for one in decision.contenders if one.status == "taken_out"]
    wanted = [one for one in versions if one in taken_out] or versions
    rows = log.scored(record.model, wanted, since_us=moment.begun_us, until_us=decision.at_us + 1)
    rows = rows.filter(pl.col("release") == record.id)
    failed = rows.filter(pl.col("status") != "ok").height
    return f"a gateway took it out on its own count of requests; the log holds {failed} failures in {rows.height} rows"
