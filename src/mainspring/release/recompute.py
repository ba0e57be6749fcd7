"""Each decision worked out again from the prediction log, and compared with what was stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from mainspring.registry.alias import CHAMPION
from mainspring.release.decision import Decision
from mainspring.release.evidence.gathered import Books, evidence
from mainspring.release.evidence.stream import Measured
from mainspring.release.gather import gather_until
from mainspring.release.release import Record
from mainspring.release.state import Contender, Stage, State

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog
    from mainspring.registry.service import Registry

NEARLY = 1e-9  # sums over more rows at once round differently


class Recomputed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision again. ``equal`` is None where it cannot be told; ``difference`` names the first one, or why not.

    ``shares`` are those that a bandit would have set, by the number of the version.
    """

    at_us: int
    kind: str
    reason: str
    equal: bool | None
    difference: str = ""
    measured: tuple[Measured, ...] = ()
    shares: dict[str, float] = {}


class Moment(msgspec.Struct, frozen=True):
    """A release as it was just before a decision: compared with whom, on which terms, since when, who took part."""

    record: Record
    decision: Decision
    begun_us: int
    changed: bool = False  # its policy, by hand, after this decision

    def books(self) -> Books:
        """Return books in which nothing is counted yet."""
        state = self.record.state
        drawn_us = state.share_changes[0] if state.share_changes else self.begun_us
        fresh = Books(rows_us=self.begun_us, pairs_us=self.begun_us, drawn_us=drawn_us, drawn_labels_us=drawn_us)
        return msgspec.structs.replace(fresh, arms={one.version: fresh for one in state.contest})

    def again(self, difference: str = "", *, known: bool = True, **more: Any) -> Recomputed:
        """Return the decision as found equal, or with what differs, or with why that is not known."""
        one = self.decision
        return Recomputed(one.at_us, one.kind, one.reason, (not difference) if known else None, difference, **more)


class History(msgspec.Struct, frozen=True):
    """A stored release with its decisions; ``compared_at`` returns it as it was compared with an earlier champion."""

    record: Record
    decisions: Sequence[Decision]
    compared_at: Callable[[Record, int], Record]

    def moments(self) -> Iterator[Moment]:
        """Yield the release as it was before each decision that was not merely waiting for a first row."""
        rebases = [one.at_us for one in self.decisions if one.kind == "rebase"]
        last_change = max((place for place, one in enumerate(self.decisions) if one.kind == "change"), default=-1)
        contenders = tuple(Contender(one.version, one.number) for one in self.record.state.contenders)
        stage: Stage = "shadow"
        for place, one in enumerate(self.decisions):
            if one.measured or one.kind != "wait":
                begun_us = max((at for at in rebases if at < one.at_us), default=self.record.state.started_us)
                yield Moment(self._then(one, begun_us, contenders, stage), one, begun_us, place < last_change)
            contenders, stage = one.contenders or contenders, one.stage

    def _then(self, one: Decision, begun_us: int, contenders: tuple[Contender, ...], stage: Stage) -> Record:
        record = self.record
        last_us = max((other.at_us for other in self.decisions if other.kind == "rebase"), default=None)
        if last_us is not None and begun_us < last_us:
            record = self.compared_at(record, begun_us)
        earlier = [other for other in self.decisions if other.at_us < one.at_us]
        approved = record.state.approved if any(other.kind == "approve" for other in earlier) else None
        changes = tuple(at for at in record.state.share_changes if at < one.at_us)
        state = State(
            stage=stage,
            started_us=record.state.started_us,
            stage_since_us=max((at for at in (begun_us, *changes)), default=begun_us),
            epoch=1 + sum(other.kind == "rebase" for other in earlier),
            generation=one.generations[0],
            stage_generation=one.generations[1],
            acknowledged_us=begun_us,
            share_changes=changes,
            contenders=contenders,
            approved=approved,
            shares_us=changes[-1] if changes else 0,
        )
        return msgspec.structs.replace(record, state=state)


def recompute(log: PredictionLog, registry: Registry, history: History) -> list[Recomputed]:
    """Return every stored decision but those that only waited for a first row, from the log as it was known then."""
    return [_one(log, registry, moment) for moment in history.moments()]


def _one(log: PredictionLog, registry: Registry, moment: Moment) -> Recomputed:
    from mainspring.release.recontest import contested

    decision, record = moment.decision, moment.record
    if decision.by:
        return moment.again(f"{decision.by} decided it: the ledger says so, not the log", known=False)
    if decision.reason == "tripwire":
        return moment.again(_gateway_saw(log, moment), known=False)
    if decision.reason == "champion_changed":
        same = registry.alias(record.model, CHAMPION, decision.at_us)
        stands = same is not None and same.id == record.champion
        return moment.again("the champion was still the one that it was compared with" if stands else "")
    if moment.changed:
        return moment.again("its policy was changed by hand later: the ledger has the one it was taken by", known=False)
    if _unapproved(moment):
        return moment.again("nobody had approved it")
    if decision.measured and len(decision.counted_us) != 4:
        return moment.again("it was stored without saying how far rows had been counted", known=False)
    if record.state.contest:
        return contested(log, moment)
    if not decision.measured:
        return moment.again("it rests on the time and on counts of requests, not on a comparison", known=False)
    books = gather_until(log, record, moment.books(), decision.counted_us)
    found = evidence(books, record.terms.gates, record.terms.alpha_ratio)
    measured = found.measured if found is not None else ()
    return moment.again(first_difference(decision.measured, measured), measured=measured)


def _unapproved(moment: Moment) -> bool:
    """Tell whether the challenger was shown to somebody, or promoted, before a person had signed it off."""
    shown = moment.decision.kind == "promote" or (moment.decision.kind == "advance" and moment.decision.step == 1)
    return shown and moment.record.terms.approval is not None and moment.record.state.approved is None


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


def first_difference(stored: Sequence[Measured], again: Sequence[Measured]) -> str:
    """Return the first number that differs, in words; nothing where all agree."""
    names = [one.name for one in stored], [one.name for one in again]
    if names[0] != names[1]:
        return f"it compared {', '.join(names[0]) or 'nothing'}; the log gives {', '.join(names[1]) or 'nothing'}"
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
