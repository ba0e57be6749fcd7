"""Verbs of monitoring: is it still right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.verbs.training import OneModel
from mainspring.edges.verbs.verb import Change, Verb

if TYPE_CHECKING:
    from mainspring.monitoring.service import MonitorState
    from mainspring.platform import Platform


class ListAlarms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alarms."""

    project: Annotated[str | None, Meta(description="a project's name; all if not said")] = None
    all: Annotated[bool, Meta(description="closed ones too")] = False


class Acknowledge(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alarm, and what was made of it."""

    alarm: Annotated[str, Meta(description="id of an alarm")]


def monitors(platform: Platform, asked: OneModel, by: str) -> Any:
    states = platform.monitoring.state(find_model(platform, asked.model).id)
    return [line for state in states for line in _lines(state)]


def _lines(state: MonitorState) -> list[dict[str, Any]]:
    """Return a line a finding, or one that says that the monitor has not looked yet."""
    common = {"monitor": state.monitor, "limit": state.limit, "updated_us": state.updated_us, "declared": state.spec}
    if not state.findings:
        return [{**common, "subject": "", "state": "insufficient", "reason": "it has not looked yet"}]
    return [
        {**msgspec.to_builtins(finding), **common, "series": state.series.get(finding.subject, ())}
        for finding in state.findings
    ]


def alarms(platform: Platform, asked: ListAlarms, by: str) -> Any:
    project = platform.registry.project(asked.project) if asked.project else None
    return platform.monitoring.alarms(project, open_only=not asked.all)


def acknowledge(platform: Platform, asked: Acknowledge, by: str) -> Any:
    return platform.monitoring.acknowledge(asked.alarm, by=by, reason=asked.reason)


VERBS = (
    Verb(
        name="monitors",
        group="Monitoring",
        summary="Show the monitors of a model, each with n matured of n",
        arguments=OneModel,
        call=monitors,
        positional=("model",),
        columns=("monitor", "subject", "state", "matured", "rows", "reason"),
    ),
    Verb(
        name="alarms",
        group="Monitoring",
        summary="List open alarms",
        arguments=ListAlarms,
        call=alarms,
        positional=("project",),
        columns=("id", "model_name", "monitor", "subject", "opened_us", "acknowledged_by", "reason"),
    ),
    Verb(
        name="acknowledge",
        group="Monitoring",
        summary="Say that an alarm was seen, and what was made of it",
        arguments=Acknowledge,
        call=acknowledge,
        permission="operate",
        positional=("alarm",),
    ),
)
