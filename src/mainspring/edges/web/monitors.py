"""Reads what the page shows of a monitor: what it last found, and how it came there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mainspring.edges.web import views

if TYPE_CHECKING:
    from mainspring.monitoring.service import MonitorState

_WINDOWS = 120


def read_monitors(state: MonitorState) -> list[views.Monitor]:
    """Return a line for each thing that a monitor looks at."""
    if not state.findings:
        return [views.Monitor(state.monitor, state.monitor, "insufficient", "has not looked yet")]
    shown = []
    for finding in state.findings:
        series = state.series.get(finding.subject) or next(iter(state.series.values()), ())
        level = series[-1].evidence / state.limit if series and state.limit else None
        windows = tuple(
            views.Window(point.at_us, point.value, point.evidence)
            for point in series[-_WINDOWS:]
            if point.value is not None and math.isfinite(point.value)
        )
        shown.append(
            views.Monitor(
                name=f"{state.monitor} {finding.subject}" if finding.subject else state.monitor,
                kind=state.monitor,
                state="quiet" if finding.state == "ok" else finding.state,
                words=finding.reason,
                matured=finding.matured,
                total=finding.rows,
                level=level if level is not None and math.isfinite(level) else None,
                points=windows,
                limit=state.limit,
                updated_us=state.updated_us,
            )
        )
    return shown
