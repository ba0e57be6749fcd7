"""Reads what the pages of alarms show: those that are open or were, and one with what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mainspring.edges.web import views
from mainspring.edges.web.audit import lines_of
from mainspring.edges.web.commands import Order, acknowledge_order
from mainspring.edges.web.monitors import read_monitors
from mainspring.kernel.errors import NotFound
from mainspring.ledger.queries import entries

if TYPE_CHECKING:
    from mainspring.monitoring.alarms import Alarm
    from mainspring.platform import Platform

_MOST = 200
_SEARCHED = 10_000


class Found(msgspec.Struct, frozen=True):
    """One alarm with its monitor as it stands, its entries in the ledger, and the order that may be given."""

    alarm: views.Alarm
    monitors: tuple[views.Monitor, ...]
    entries: tuple[views.Entry, ...]
    order: Order | None


def read_alarms(platform: Platform) -> tuple[views.Alarm, ...]:
    """Return alarms, those that are open first, then the newest."""
    found = [alarm_of(one) for one in platform.monitoring.alarms(open_only=False, limit=_MOST)]
    return tuple(sorted(found, key=lambda one: one.closed_us is not None))


def read_alarm(platform: Platform, id: str) -> Found:
    """Return one alarm."""
    known = platform.monitoring.alarms(open_only=False, limit=_SEARCHED)
    one = next((alarm for alarm in known if alarm.id == id), None)
    if one is None:
        remedy = "list them with: mainspring alarms --all"
        raise NotFound("there is no such alarm", field="alarm", value=id, remedy=remedy)
    with platform.store.read() as connection:
        about = entries(connection, subject=id)
    states = [state for state in platform.monitoring.state(one.model) if state.monitor == one.monitor]
    shown = [found for state in states for found in read_monitors(state)]
    mine = tuple(found for found in shown if not one.subject or found.name.endswith(f" {one.subject}"))
    waits = one.closed_us is None and one.acknowledged_us is None
    order = acknowledge_order(id) if waits else None
    return Found(alarm_of(one), mine or tuple(shown), lines_of(platform, about), order)


def alarm_of(alarm: Alarm) -> views.Alarm:
    """Return an alarm as it is shown."""
    return views.Alarm(
        id=alarm.id,
        project=alarm.project_name,
        model=alarm.model_name,
        monitor=f"{alarm.monitor} {alarm.subject}".strip(),
        since_us=alarm.opened_us,
        words=alarm.reason,
        acknowledged_by=alarm.acknowledged_by or "",
        acknowledged=alarm.acknowledged_reason or "",
        closed_us=alarm.closed_us,
        closed=alarm.closed_reason or "",
        numbers=alarm.numbers,
    )
