"""A release as its page shows it and the loop publishes it."""

from __future__ import annotations

import msgspec

from mainspring.kernel.ids import digest_of
from mainspring.release.agreed import Agreed
from mainspring.release.comparison import Slice
from mainspring.release.engine import Approved, Contender, Decision, Stage, State, Status
from mainspring.release.evidence.forecast import Forecast
from mainspring.release.evidence.stream import Measured
from mainspring.release.policy import Policy
from mainspring.release.policy.checked import as_agreed
from mainspring.release.terms import Terms


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stored of one release: who against whom, on which terms, where it stands, and its latest decision."""

    id: str
    project: str
    model: str
    model_name: str
    challenger: str
    challenger_number: int
    champion: str
    champion_number: int
    anchor: str | None
    recipe: str
    policy: Policy
    terms: Terms
    state: State
    by: str
    reason: str
    salt_base: str
    forecast: Forecast | None = None
    decision: Decision | None = None
    shown_us: int = 0
    disagreement: tuple[Slice, ...] = ()

    @property
    def salt(self) -> str:
        """The draw's salt in the present epoch; it follows from names and times, so a play draws the same twice."""
        return digest_of([self.salt_base, self.state.epoch])[:16]


def record_of(body: bytes | str) -> Record:
    """Read a stored release on the terms that were agreed, whatever the rules of today."""
    with as_agreed():
        return msgspec.json.decode(body, type=Record)


class Release(msgspec.Struct, frozen=True):
    """One release. ``evidence`` are its comparisons so far, ``history`` its decisions, oldest first.

    ``policies`` are those that it ran by, the last of them still. ``disagreement`` is where the two versions differed
    in shadow, once that is over.
    """

    id: str
    project: str
    model: str
    model_name: str
    challenger: str
    challenger_number: int
    champion: str
    champion_number: int
    anchor: str | None
    recipe: str
    status: Status
    stage: Stage
    step: int
    share: float
    epoch: int
    salt: str
    generation: int | None
    started_us: int
    stage_since_us: int
    ended_us: int | None
    deadline_us: int
    reason: str
    by: str
    asked: str
    planned_requests: int
    policy: Policy
    terms: Terms
    evidence: tuple[Measured, ...]
    decision: Decision | None
    forecast: Forecast | None = None
    history: tuple[Decision, ...] = ()
    contenders: tuple[Contender, ...] = ()
    approved: Approved | None = None
    policy_digest: str = ""
    disagreement: tuple[Slice, ...] = ()
    policies: tuple[Agreed, ...] = ()

    @property
    def over(self) -> bool:
        return self.stage == "over"

    @property
    def shadows(self) -> tuple[str, ...]:
        """Versions that must score every row beside the one that answers, as long as the release runs."""
        if self.over or (self.stage in ("test", "bandit")):  # there only what comes of an answer is compared
            return ()
        return self.challengers if self.anchor is None else (*self.challengers, self.anchor)

    @property
    def challengers(self) -> tuple[str, ...]:
        """Return every version that may still win."""
        running = tuple(one.version for one in self.contenders if one.status == "running")
        return running or (self.challenger,)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Return the versions that units are drawn to beside the champion, and their shares."""
        drawn = tuple((one.version, one.share) for one in self.contenders if one.status == "running")
        return drawn or ((self.challenger, self.share),)


def shown(record: Record, history: tuple[Decision, ...] = (), policies: tuple[Agreed, ...] = ()) -> Release:
    """Return the public form of a stored release."""
    state = record.state
    return Release(
        id=record.id,
        project=record.project,
        model=record.model,
        model_name=record.model_name,
        challenger=record.challenger,
        challenger_number=record.challenger_number,
        champion=record.champion,
        champion_number=record.champion_number,
        anchor=record.anchor,
        recipe=record.recipe,
        status=state.status,
        stage=state.stage,
        step=state.step,
        share=state.share,
        epoch=state.epoch,
        salt=record.salt,
        generation=state.generation,
        started_us=state.started_us,
        stage_since_us=state.stage_since_us,
        ended_us=state.ended_us,
        deadline_us=state.started_us + record.terms.deadline_us,
        reason=state.reason or record.reason,
        by=record.by,
        asked=record.reason,
        planned_requests=record.terms.planned_requests,
        policy=record.policy,
        terms=record.terms,
        evidence=record.decision.measured if record.decision is not None else (),
        decision=record.decision,
        forecast=record.forecast,
        history=history,
        contenders=state.contenders,
        approved=state.approved,
        policy_digest=record.terms.policy_digest,
        disagreement=record.disagreement,
        policies=policies,
    )
