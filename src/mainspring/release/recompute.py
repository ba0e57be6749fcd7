"""A decision's evidence worked out again from the prediction log, and compared with what was stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.release.decision import Decision
from mainspring.release.evidence.gathered import Books, evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.gather import gather_until
from mainspring.release.release import Record

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog

NEARLY = 1e-9  # sums over more rows at once round differently


class Recomputed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision again. ``equal`` is None where it cannot be told; ``difference`` names the first one, or why not."""

    at_us: int
    kind: str
    reason: str
    equal: bool | None
    difference: str = ""
    measured: tuple[Measured, ...] = ()


def recompute(log: PredictionLog, record: Record, history: Sequence[Decision]) -> list[Recomputed]:
    """Return every stored decision that was taken on evidence, with that evidence from the log as it was known then."""
    begun_us = max((one.at_us for one in history if one.kind == "rebase"), default=record.state.started_us)
    return [_one(log, record, decision, begun_us) for decision in history if decision.measured]


def _one(log: PredictionLog, record: Record, decision: Decision, begun_us: int) -> Recomputed:
    why = _unanswerable(record, decision, begun_us)
    if why:
        return Recomputed(decision.at_us, decision.kind, decision.reason, None, why)
    changes = tuple(one for one in record.state.share_changes if one < decision.at_us)
    drawn_us = changes[0] if changes else begun_us
    stage = "shadow" if not changes else "kept" if record.terms.strategy == "blue_green" else "canary"
    state = msgspec.structs.replace(record.state, status="running", stage=stage, share_changes=changes)
    then = msgspec.structs.replace(record, state=state)
    books = Books(rows_us=begun_us, pairs_us=begun_us, drawn_us=drawn_us, drawn_labels_us=drawn_us)
    books = gather_until(log, then, books, decision.counted_us)
    found = evidence(books, record.terms.gates, record.terms.alpha_ratio)
    measured = found.measured if found is not None else ()
    difference = first_difference(decision.measured, measured)
    return Recomputed(decision.at_us, decision.kind, decision.reason, not difference, difference, measured)


def _unanswerable(record: Record, decision: Decision, begun_us: int) -> str:
    if record.state.contenders:
        return "several challengers were compared, each on its own"
    if decision.at_us <= begun_us:
        return "it was taken against a champion that was replaced since"
    if len(decision.counted_us) != 4:
        return "it was stored without saying how far rows had been counted"
    return ""


def first_difference(stored: Sequence[Measured], again: Sequence[Measured]) -> str:
    """Return the first number that differs, in words; nothing where all agree."""
    names = [one.name for one in stored], [one.name for one in again]
    if names[0] != names[1]:
        return f"it compared {', '.join(names[0])}; the log gives {', '.join(names[1]) or 'nothing'}"
    for one, other in zip(stored, again, strict=True):
        for field in one.__struct_fields__:
            then, now = getattr(one, field), getattr(other, field)
            if not _same(then, now):
                return f"{one.name}: {field} was {then!r}, the log gives {now!r}"
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=NEARLY, abs_tol=1e-12)
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(_same(*both) for both in zip(one, other, strict=True))
    return bool(one == other)
