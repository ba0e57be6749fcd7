"""Does the service work? Shares of failed, fallen-back and slow rows against what is still healthy; pure."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.monitoring.evalues import detect_share
from mainspring.monitoring.finding import Finding, Point, kept
from mainspring.monitoring.spec import Health

GUARDS = ("failed", "fallback", "slow")
QUIET_WINDOWS = 3


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """One window of rows that callers asked for."""

    rows: int
    failed: int
    fallback: int
    slow: int


class Guard(msgspec.Struct, frozen=True):
    """One share: its detector, its totals, and since when it alarms."""

    evidence: float = 0.0
    bad: int = 0
    recent_share: float | None = None
    alarmed_us: int | None = None
    quiet_windows: int = 0
    points: tuple[Point, ...] = ()


class HealthState(msgspec.Struct, frozen=True):
    """Everything that the next window needs."""

    through_us: int | None = None
    rows: int = 0
    guards: dict[str, Guard] = msgspec.field(default_factory=lambda: {name: Guard() for name in GUARDS})


def healthy_share(spec: Health, guard: str) -> float:
    """Return the share that is still healthy."""
    return {"failed": spec.failed_share, "fallback": spec.fallback_share, "slow": spec.slow_share}[guard]


def step(state: HealthState, spec: Health, counts: Counts, *, until_us: int) -> HealthState:
    """Return the state after one window that ends at ``until_us``."""
    state = msgspec.structs.replace(state, through_us=until_us, rows=state.rows + counts.rows)
    if counts.rows == 0:
        return state
    guards = {name: _step_guard(guard, spec, name, counts, until_us) for name, guard in state.guards.items()}
    return msgspec.structs.replace(state, guards=guards)


def find(state: HealthState, spec: Health, *, lag_s: float | None, at_us: int) -> list[Finding]:
    """Return what the state says, one finding a guard, and one about the lag of ingestion."""
    return [_find_guard(state, spec, name, at_us) for name in GUARDS] + [_find_lag(spec, lag_s, at_us)]


def limit(spec: Health) -> float:
    """Return the evidence at which a guard alarms; the guards share the budget."""
    return len(GUARDS) * spec.budget_windows


def _step_guard(guard: Guard, spec: Health, name: str, counts: Counts, until_us: int) -> Guard:
    bad, rows = getattr(counts, name), counts.rows
    healthy = healthy_share(spec, name)
    evidence = detect_share(guard.evidence, bad, rows, healthy)
    share = bad / rows
    point = Point(until_us, share, evidence, rows, rows)
    guard = msgspec.structs.replace(
        guard, evidence=evidence, bad=guard.bad + bad, recent_share=share, points=kept(guard.points, point)
    )
    if evidence >= limit(spec):
        alarmed_us = until_us if guard.alarmed_us is None else guard.alarmed_us
        return msgspec.structs.replace(guard, evidence=0.0, alarmed_us=alarmed_us, quiet_windows=0)
    if guard.alarmed_us is None:
        return guard
    quiet = guard.quiet_windows + 1 if share <= healthy else 0
    if quiet < QUIET_WINDOWS:
        return msgspec.structs.replace(guard, quiet_windows=quiet)
    return msgspec.structs.replace(guard, alarmed_us=None, quiet_windows=0)


def _find_guard(state: HealthState, spec: Health, name: str, at_us: int) -> Finding:
    guard, healthy = state.guards[name], healthy_share(spec, name)
    numbers: dict[str, Any] = {
        "share": guard.recent_share,
        "healthy_share": healthy,
        "bad": guard.bad,
        "evidence": guard.evidence,
        "limit": limit(spec),
    }
    subject = {"failed": "failed rows", "fallback": "fallback rows", "slow": f"rows over {spec.slow_ms:g} ms"}[name]
    if state.rows == 0:
        return Finding("health", subject, "insufficient", "no row was asked for yet", at_us, numbers)
    if guard.alarmed_us is not None:
        reason = f"more than {healthy:.3%} of rows: {guard.recent_share:.3%} in the last window"
        return Finding("health", subject, "alarm", reason, at_us, numbers, state.rows, state.rows)
    reason = f"at most {healthy:.3%} of rows is healthy"
    return Finding("health", subject, "ok", reason, at_us, numbers, state.rows, state.rows)


def _find_lag(spec: Health, lag_s: float | None, at_us: int) -> Finding:
    numbers = {"lag_s": lag_s, "limit_s": spec.lag_s}
    if lag_s is None:
        return Finding("health", "ingestion", "insufficient", "the lag of the log is not known", at_us, numbers)
    if lag_s > spec.lag_s:
        reason = f"rows wait {lag_s:.0f} s to be ingested, more than {spec.lag_s:g} s"
        return Finding("health", "ingestion", "alarm", reason, at_us, numbers)
    return Finding("health", "ingestion", "ok", f"rows wait at most {spec.lag_s:g} s", at_us, numbers)
