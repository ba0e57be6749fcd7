"""What answered at a moment: each model's champion, since when and why, and the releases that ran beside it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, and_, or_, select

from mainspring.kernel.clock import from_us, show_time
from mainspring.ledger.tables import ledger_entries
from mainspring.registry.alias import CHAMPION
from mainspring.registry.tables import aliases, models, projects, versions
from mainspring.release.engine import Decision
from mainspring.release.release import record_of
from mainspring.release.tables import release_decisions, releases

_MOVES = release_decisions.c.kind.in_(("advance", "reweigh", "drop", "rebase"))  # what leads to another stage or share


class ReleaseThen(msgspec.Struct, frozen=True):
    """A release that ran at that moment, as its newest decision by then left it; since when with that share."""

    id: str
    challenger: int
    stage: str
    share: float
    since_us: int
    reason: str
    shares: dict[str, float] = {}  # of each challenger, where there were several

    def words(self) -> str:
        """Return what it did then, as a person would say it."""
        told = ", ".join(f"{version} {share:.3g}" for version, share in self.shares.items())
        who = told or f"v{self.challenger}"
        where = "in shadow" if self.stage == "shadow" else f"at {100 * self.share:.3g} % ({self.stage})"
        return f"{who} {where} since {show_time(from_us(self.since_us))}: {self.reason} ({self.id})"


class Served(msgspec.Struct, frozen=True):
    """What answered requests to one model at a moment. ``ledger`` is the entry that says why.

    ``beside`` tells the ``releases`` that ran in words.
    """

    project: str
    model: str
    champion: int | None
    version: str | None
    since_us: int | None
    by: str
    reason: str
    ledger: int | None
    releases: tuple[ReleaseThen, ...] = ()
    beside: tuple[str, ...] = ()


def served_at(connection: Connection, at_us: int) -> list[Served]:
    """Return what answered at a moment, a line for each model that had been declared by then."""
    known = (
        select(models.c.id, models.c.name, projects.c.name.label("project_name"))
        .join(projects, projects.c.id == models.c.project)
        .where(models.c.created_us <= at_us)
        .order_by(projects.c.name, models.c.name)
    )
    return [_served(connection, model, at_us) for model in connection.execute(known).all()]


def _served(connection: Connection, model: Any, at_us: int) -> Served:
    query = (
        select(aliases, versions.c.number, ledger_entries.c.actor, ledger_entries.c.reason)
        .outerjoin(versions, versions.c.id == aliases.c.version)
        .outerjoin(ledger_entries, ledger_entries.c.seq == aliases.c.ledger_seq)
        .where(aliases.c.model == model.id, aliases.c.alias == CHAMPION, aliases.c.since_us <= at_us)
        .order_by(aliases.c.id.desc())
        .limit(1)
    )
    move = connection.execute(query).first()
    running = tuple(_then(connection, row, at_us) for row in connection.execute(_running(model.id, at_us)).all())
    beside = tuple(one.words() for one in running)
    if move is None:
        return Served(
            model.project_name, model.name, None, None, None, "", "nothing answered yet", None, running, beside
        )
    return Served(
        model.project_name, model.name, move.number, move.version, move.since_us, move.actor or "", move.reason or "",
        move.ledger_seq, running, beside,
    )  # fmt: skip


def _running(model: str, at_us: int) -> Any:
    """Return the query of releases that had begun and had not ended."""
    later = or_(releases.c.ended_us.is_(None), releases.c.ended_us > at_us)
    return (
        select(releases.c.id, releases.c.body)
        .where(and_(releases.c.model == model, releases.c.started_us <= at_us, later))
        .order_by(releases.c.started_us)
    )


def _then(connection: Connection, row: Any, at_us: int) -> ReleaseThen:
    record = record_of(row.body)
    query = (
        select(release_decisions.c.body)
        .where(release_decisions.c.release == row.id, release_decisions.c.at_us <= at_us)
        .order_by(release_decisions.c.id.desc())
        .limit(1)
    )
    body = connection.scalar(query)
    moved = connection.scalar(query.with_only_columns(release_decisions.c.at_us).where(_MOVES))
    since_us = record.state.started_us if moved is None else moved
    if body is None:
        return ReleaseThen(row.id, record.challenger_number, "shadow", 0.0, since_us, record.reason)
    decision = msgspec.json.decode(body, type=Decision)
    shares = {f"v{one.number}": one.share for one in decision.contenders if one.status == "running"}
    return ReleaseThen(
        row.id, record.challenger_number, decision.stage, decision.share, since_us, decision.sentence, shares
    )
