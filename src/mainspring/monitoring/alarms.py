"""Alarms: at most one open for each monitor and subject of a model; opened, closed and acknowledged in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import Conflict, NotFound
from mainspring.kernel.ids import new_id
from mainspring.ledger.transaction import Transaction
from mainspring.monitoring.finding import Finding
from mainspring.monitoring.ports import Notice
from mainspring.monitoring.tables import alarms, notices
from mainspring.registry.service import ModelRow
from mainspring.registry.tables import models, projects


class Alarm(msgspec.Struct, frozen=True):
    """Something that a person should look at. ``closed_us`` is empty while it lasts; alarms close themselves."""

    id: str
    project: str
    project_name: str
    model: str
    model_name: str
    monitor: str
    subject: str
    reason: str
    numbers: dict[str, Any]
    opened_us: int
    closed_us: int | None = None
    closed_reason: str | None = None
    acknowledged_us: int | None = None
    acknowledged_by: str | None = None
    acknowledged_reason: str | None = None


def find_alarms(
    connection: Connection,
    *,
    project: str | None = None,
    model: str | None = None,
    open_only: bool = True,
    limit: int = 500,
) -> list[Alarm]:
    """Return alarms, the newest first; ``project`` is an id or a name."""
    query = (
        select(alarms, projects.c.name.label("project_name"), models.c.name.label("model_name"))
        .join(models, alarms.c.model == models.c.id)
        .join(projects, alarms.c.project == projects.c.id)
        .order_by(alarms.c.opened_us.desc(), alarms.c.id)
        .limit(limit)
    )
    if project is not None:
        query = query.where((projects.c.id == project) | (projects.c.name == project))
    if model is not None:
        query = query.where(alarms.c.model == model)
    if open_only:
        query = query.where(alarms.c.closed_us.is_(None))
    return [_alarm(row) for row in connection.execute(query)]


def changes(open_alarms: Sequence[Alarm], findings: Iterable[Finding]) -> tuple[list[Finding], list[tuple[Alarm, str]]]:
    """Return the findings that open an alarm and the alarms that close, with why.

    A finding that turned insufficient closes nothing: silence is no recovery.
    """
    by_subject = {(alarm.monitor, alarm.subject): alarm for alarm in open_alarms}
    found = list(findings)
    opening = [f for f in found if f.state == "alarm" and (f.monitor, f.subject) not in by_subject]
    closing = [
        (by_subject[(f.monitor, f.subject)], f.reason)
        for f in found
        if f.state == "ok" and (f.monitor, f.subject) in by_subject
    ]
    seen = {(f.monitor, f.subject) for f in found}
    orphans = [(alarm, "it is not watched any more") for key, alarm in by_subject.items() if key not in seen]
    return opening, closing + orphans


def open_alarm(tx: Transaction, finding: Finding, *, project: str, model: str) -> str:
    """Store a new alarm with its ledger entry and return its id."""
    id = new_id("alm")
    tx.connection.execute(
        insert(alarms).values(
            id=id,
            project=project,
            model=model,
            monitor=finding.monitor,
            subject=finding.subject,
            reason=finding.reason,
            numbers=msgspec.json.encode(finding.numbers).decode(),
            opened_us=finding.at_us,
        )
    )
    tx.record("alarm.opened", id, finding.reason, _numbers(finding, model), project=project)
    return id


def close_alarm(tx: Transaction, alarm: Alarm, reason: str) -> None:
    """Close an alarm with its ledger entry."""
    closed = update(alarms).where(alarms.c.id == alarm.id).values(closed_us=tx.at_us, closed_reason=reason)
    tx.connection.execute(closed)
    numbers = {"model": alarm.model, "monitor": alarm.monitor, "subject": alarm.subject, "opened_us": alarm.opened_us}
    tx.record("alarm.closed", alarm.id, reason, numbers, project=alarm.project)


def acknowledge_alarm(tx: Transaction, alarm_id: str, reason: str) -> None:
    """Note that a person has seen an alarm; it stays open until its cause is gone."""
    row = tx.connection.execute(select(alarms).where(alarms.c.id == alarm_id)).first()
    if row is None:
        raise NotFound(
            "there is no such alarm", field="alarm", value=alarm_id, remedy="list them with: mainspring alarms"
        )
    if row.acknowledged_us is not None:
        raise Conflict("was acknowledged already", field="alarm", value=alarm_id)
    seen = {"acknowledged_us": tx.at_us, "acknowledged_by": tx.actor, "acknowledged_reason": reason}
    tx.connection.execute(update(alarms).where(alarms.c.id == alarm_id).values(**seen))
    numbers = {"model": row.model, "monitor": row.monitor, "subject": row.subject}
    tx.record("alarm.acknowledged", alarm_id, reason, numbers, project=row.project)


def enqueue(connection: Connection, notice: Notice, notifier_names: Iterable[str], now_us: int) -> None:
    """Store a notice for every notifier, in the transaction of the alarm itself."""
    body = msgspec.json.encode(notice).decode()
    for name in notifier_names:
        row = {"id": notice.id, "notifier": name, "body": body, "created_us": now_us, "attempts": 0}
        connection.execute(insert(notices).values(**row))


def notice_of(finding: Finding, event: Literal["opened", "closed"], alarm: str, model: ModelRow) -> Notice:
    """Return the message about an alarm that opened or closed; it carries names, since it leaves the home."""
    return Notice(
        id=new_id("ntc"),
        event=event,
        alarm=alarm,
        project=model.project_name,
        model=model.name,
        monitor=finding.monitor,
        subject=finding.subject,
        reason=finding.reason,
        at=show_time(from_us(finding.at_us)),
        numbers=finding.numbers,
    )


def _numbers(finding: Finding, model: str) -> dict[str, Any]:
    head = {"model": model, "monitor": finding.monitor, "subject": finding.subject}
    return {**head, "matured": finding.matured, "rows": finding.rows, **finding.numbers}


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(**{**row._mapping, "numbers": msgspec.json.decode(row.numbers)})
