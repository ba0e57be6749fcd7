"""Silence where there should be something; pure.

These are plain rules over counts, not tests: predictions are missed when the same hours of *every* week that is kept
brought enough of them, so a rhythm of nights and weekends never alarms.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.kernel.duration import HOUR_US
from mainspring.monitoring.finding import Finding
from mainspring.monitoring.spec import Silence

HOURS_A_WEEK = 168


class SilenceState(msgspec.Struct, frozen=True):
    """Rows decided in each closed hour up to ``through_us``, oldest first, as many weeks as are kept."""

    through_us: int | None = None
    hours: tuple[int, ...] = ()


def step(state: SilenceState, spec: Silence, rows: int, *, until_us: int) -> SilenceState:
    """Return the state after one closed hour that brought ``rows``."""
    kept = (spec.weeks + 1) * HOURS_A_WEEK
    return msgspec.structs.replace(state, through_us=until_us, hours=(*state.hours, rows)[-kept:])


def find(
    state: SilenceState, spec: Silence, *, last_outcome_us: int | None, matures_after_us: int, at_us: int
) -> list[Finding]:
    """Return what the counts say about predictions and about outcomes."""
    return [
        _predictions(state, spec, at_us),
        _outcomes(state, spec, last_outcome_us, matures_after_us, at_us),
    ]


def _predictions(state: SilenceState, spec: Silence, at_us: int) -> Finding:
    silent_hours = next((n for n, rows in enumerate(reversed(state.hours)) if rows), len(state.hours))
    expected, weeks = _expected(state.hours, silent_hours, spec.weeks)
    numbers = {"silent_hours": silent_hours, "expected_rows": expected, "weeks": weeks}
    rows = sum(state.hours)
    if weeks == 0:
        return Finding("silence", "predictions", "insufficient", "less than a week of traffic is known", at_us, numbers)
    if expected is not None and expected >= spec.expected_at_least:
        reason = f"none for {silent_hours} h, where each of the last {weeks} weeks brought at least {expected}"
        return Finding("silence", "predictions", "alarm", reason, at_us, numbers, rows, rows)
    return Finding("silence", "predictions", "ok", "they come as they usually do", at_us, numbers, rows, rows)


def _expected(hours: tuple[int, ...], silent_hours: int, most_weeks: int) -> tuple[int | None, int]:
    """Return the least that the same hours brought in any past week, and how many weeks are known."""
    silent_hours = min(silent_hours, HOURS_A_WEEK)
    weeks = min(most_weeks, (len(hours) - silent_hours) // HOURS_A_WEEK)
    if weeks <= 0:
        return None, 0
    end = len(hours)
    sums = [
        sum(hours[end - HOURS_A_WEEK * week - silent_hours : end - HOURS_A_WEEK * week]) for week in range(1, weeks + 1)
    ]
    return min(sums), weeks


def _outcomes(
    state: SilenceState, spec: Silence, last_outcome_us: int | None, matures_after_us: int, at_us: int
) -> Finding:
    through_us = state.through_us or 0
    starts = [through_us - HOUR_US * (len(state.hours) - n) for n in range(len(state.hours))]
    waited = sum(
        rows
        for start, rows in zip(starts, state.hours, strict=True)
        if start >= (last_outcome_us or 0) and start + HOUR_US + matures_after_us <= at_us
    )
    numbers: dict[str, Any] = {"last_outcome_us": last_outcome_us, "matured_unlabelled": waited}
    rows = sum(state.hours)
    if waited >= spec.expected_at_least:
        reason = f"{waited} predictions have matured since the last outcome was known, and none was labelled"
        return Finding("silence", "outcomes", "alarm", reason, at_us, numbers, 0, rows)
    if last_outcome_us is None:
        return Finding("silence", "outcomes", "insufficient", "none was due yet", at_us, numbers, 0, rows)
    return Finding("silence", "outcomes", "ok", "they come as they should", at_us, numbers, rows - waited, rows)
