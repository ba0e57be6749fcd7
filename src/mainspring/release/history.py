"""A stored release put back to the moment before each of its decisions, and what is said of a decision again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from mainspring.release.agreed import Agreed
from mainspring.release.decision import Decision
from mainspring.release.evidence.gathered import Books
from mainspring.release.evidence.stream import Measured
from mainspring.release.outlook import amended
from mainspring.release.policy import Policy
from mainspring.release.release import Record
from mainspring.release.state import Contender, Stage, State

NEARLY = 1e-9  # sums over more rows at once round differently


class Recomputed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision again. ``equal`` is None where it cannot be told; ``difference`` names the first one, or why not.

    ``shares`` are those that a bandit would have set, by the number of the version. ``policy_digest`` names the policy
    that it was taken by.
    """

    at_us: int
    kind: str
    reason: str
    equal: bool | None
    difference: str = ""
    measured: tuple[Measured, ...] = ()
    shares: dict[str, float] = {}
    policy_digest: str = ""


class Moment(msgspec.Struct, frozen=True):
    """A release as it was just before a decision: compared with whom, on which terms, since when, who took part."""

    record: Record
    decision: Decision
    begun_us: int
    known: bool = True  # whether the policy that it was taken by is stored

    def books(self) -> Books:
        """Return books in which nothing is counted yet."""
        state = self.record.state
        drawn_us = state.share_changes[0] if state.share_changes else self.begun_us
        fresh = Books(rows_us=self.begun_us, pairs_us=self.begun_us, drawn_us=drawn_us, drawn_labels_us=drawn_us)
        return msgspec.structs.replace(fresh, arms={one.version: fresh for one in state.contest})

    def again(self, difference: str = "", *, known: bool = True, **more: Any) -> Recomputed:
        """Return the decision as found equal, or with what differs, or with why that is not known."""
        one, equal = self.decision, (not difference) if known else None
        more.setdefault("policy_digest", one.policy_digest)
        return Recomputed(one.at_us, one.kind, one.reason, equal, difference, **more)


class History(msgspec.Struct, frozen=True):
    """A stored release with its decisions and policies.

    ``compared_at`` returns it as it was compared with an earlier champion.
    """

    record: Record
    decisions: Sequence[Decision]
    ran: Sequence[Agreed]
    compared_at: Callable[[Record, int], Record]

    def moments(self) -> Iterator[Moment]:
        """Yield the release as it was before each decision that was not merely waiting for a first row."""
        rebases = [one.at_us for one in self.decisions if one.kind == "rebase"]
        contenders = tuple(Contender(one.version, one.number) for one in self.record.state.contenders)
        stage: Stage = "shadow"
        step = 0
        for place, one in enumerate(self.decisions):
            if one.measured or one.kind != "wait":
                begun_us = max((at for at in rebases if at < one.at_us), default=self.record.state.started_us)
                policy = self._policy(one)
                record = self._then(place, begun_us, contenders, stage, step, policy or self.record.policy)
                yield Moment(record, one, begun_us, policy is not None)
            contenders, stage, step = one.contenders or contenders, one.stage, one.step

    def _policy(self, one: Decision) -> Policy | None:
        """Return the policy that a decision names; None where that one is stored nowhere."""
        if one.policy_digest in ("", self.record.terms.policy_digest):
            return self.record.policy
        return next((agreed.policy for agreed in self.ran if agreed.digest == one.policy_digest), None)

    def _then(
        self, place: int, begun_us: int, contenders: tuple[Contender, ...], stage: Stage, step: int, policy: Policy
    ) -> Record:
        one, earlier, record = self.decisions[place], self.decisions[:place], self.record
        if policy != record.policy:
            record = msgspec.structs.replace(record, policy=policy, terms=amended(record.terms, policy))
        last_us = max((other.at_us for other in self.decisions if other.kind == "rebase"), default=None)
        if last_us is not None and begun_us < last_us:
            record = self.compared_at(record, begun_us)
        approved = record.state.approved if any(other.kind == "approve" for other in earlier) else None
        changes = tuple(at for at in record.state.share_changes if at < one.at_us)
        state = State(
            stage=stage,
            step=step,
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
