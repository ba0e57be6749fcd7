"""Drift of inputs within a budget of false alarms: pure, window by window.

The first quarter of the reference (two seasons at least) says what a window looks like; every other window is scored by
its distance from that. A window's score is ranked among the rest of the reference and all past windows, which gives a
p-value, an e-value and a detector for each feature; the alarm looks at the mean of the detectors. While windows are
exchangeable, T of them bring at most T/budget false alarms, however features depend on one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from mainspring.kernel.ids import digest_of
from mainspring.monitoring.evalues import calibrate, detect, rank_p
from mainspring.monitoring.finding import Finding, Point, kept
from mainspring.monitoring.spec import Drift
from mainspring.monitoring.summary import Summary, average, distance, spread, summarise

QUIET_WINDOWS = 7


class Watched(msgspec.Struct, frozen=True):
    """One feature: what it looked like (``profile``, one summary a season slot), its scores so far, its detector."""

    profile: tuple[Summary, ...]
    scale: float
    scores: tuple[float, ...]
    evidence: float = 0.0
    effect: float = 0.0
    p: float = 1.0


class Pending(msgspec.Struct, frozen=True):
    """A window of the reference that is still being collected."""

    slot: int
    summaries: dict[str, Summary]


class DriftState(msgspec.Struct, frozen=True):
    """Everything that the next window needs. ``alarmed_us`` is set while the alarm is on."""

    through_us: int | None = None
    pending: tuple[Pending, ...] = ()
    watched: dict[str, Watched] = {}
    evidence: float = 0.0
    alarmed_us: int | None = None
    quiet_windows: int = 0
    suspects: dict[str, float] = {}
    windows: int = 0
    thin_windows: int = 0
    rows: int = 0
    points: tuple[Point, ...] = ()


def step(
    state: DriftState,
    spec: Drift,
    values: Mapping[str, Sequence[Any]],
    *,
    start_us: int,
    until_us: int,
    seed: str,
    monitors: int = 1,
) -> DriftState:
    """Return the state after the window ``[start_us, until_us)`` whose columns are ``values``.

    ``monitors`` share the budget; ``seed`` (the model's name) makes the breaking of ties repeatable.
    """
    rows = max((len(column) for column in values.values()), default=0)
    state = msgspec.structs.replace(state, through_us=until_us, rows=state.rows + rows)
    if rows < spec.rows_at_least:
        return msgspec.structs.replace(state, thin_windows=state.thin_windows + 1)
    slot = start_us // (until_us - start_us) % spec.season_windows
    chosen = values if spec.features is None else {name: values[name] for name in spec.features if name in values}
    summaries = {name: summarise(column) for name, column in chosen.items()}
    if not state.watched:
        pending = (*state.pending, Pending(slot, summaries))
        if len(pending) < spec.reference_windows:
            return msgspec.structs.replace(state, pending=pending)
        return msgspec.structs.replace(state, pending=(), watched=_fit(pending, spec))
    watched = {
        name: _score(feature, summaries[name], slot, _uniform(seed, name, start_us)) if name in summaries else feature
        for name, feature in state.watched.items()
    }
    evidence = float(np.mean([feature.evidence for feature in watched.values()]))
    state = msgspec.structs.replace(
        state,
        watched=watched,
        evidence=evidence,
        windows=state.windows + 1,
        points=kept(state.points, Point(until_us, max(f.effect for f in watched.values()), evidence, rows, rows)),
    )
    return _judge(state, spec, spec.budget_windows * monitors)


def find(state: DriftState, spec: Drift, *, at_us: int, monitors: int = 1) -> Finding:
    """Return what the state says."""
    limit = spec.budget_windows * monitors
    numbers: dict[str, Any] = {
        "evidence": state.evidence,
        "limit": limit,
        "windows": state.windows,
        "thin_windows": state.thin_windows,
        "suspects": state.suspects,
        "effects": {name: feature.effect for name, feature in state.watched.items()},
    }
    if not state.watched:
        reason = f"collecting the reference: {len(state.pending)} of {spec.reference_windows} windows"
        return Finding("drift", "inputs", "insufficient", reason, at_us, numbers, rows=state.rows)
    if state.alarmed_us is not None:
        names = ", ".join(state.suspects)
        reason = f"the inputs have changed; look at {names} first"
        return Finding("drift", "inputs", "alarm", reason, at_us, numbers, state.rows, state.rows)
    reason = f"nothing beyond the budget of one false alarm in {limit:g} windows"
    return Finding("drift", "inputs", "ok", reason, at_us, numbers, state.rows, state.rows)


def _fit(pending: Sequence[Pending], spec: Drift) -> dict[str, Watched]:
    first = max(len(pending) // 4, min(2 * spec.season_windows, len(pending) // 2))
    names = {name for window in pending for name in window.summaries}
    return {
        name: feature
        for name in sorted(names)
        if (feature := _fit_feature(name, pending[:first], pending[first:], spec)) is not None
    }


def _fit_feature(name: str, first: Sequence[Pending], rest: Sequence[Pending], spec: Drift) -> Watched | None:
    first = [window for window in first if name in window.summaries]
    rest = [window for window in rest if name in window.summaries]
    if not first or not rest:
        return None
    overall = average([window.summaries[name] for window in first])
    by_slot = [[w.summaries[name] for w in first if w.slot == slot] for slot in range(spec.season_windows)]
    profile = tuple(average(summaries) if summaries else overall for summaries in by_slot)
    scale = spread([window.summaries[name] for window in first])
    scores = tuple(distance(window.summaries[name], profile[window.slot], scale) for window in rest)
    return Watched(profile, scale, scores)


def _score(feature: Watched, summary: Summary, slot: int, uniform: float) -> Watched:
    effect = distance(summary, feature.profile[slot], feature.scale)
    p = rank_p(effect, feature.scores, uniform)
    evidence = detect(feature.evidence, calibrate(p))
    return msgspec.structs.replace(feature, scores=(*feature.scores, effect), effect=effect, p=p, evidence=evidence)


def _judge(state: DriftState, spec: Drift, limit: float) -> DriftState:
    crossed = state.evidence >= limit
    loud = max(feature.effect for feature in state.watched.values()) >= spec.effect_floor
    if crossed:
        suspects = _suspects(state.watched)
        reset = {name: msgspec.structs.replace(feature, evidence=0.0) for name, feature in state.watched.items()}
        state = msgspec.structs.replace(state, watched=reset, evidence=0.0)
        if loud:
            alarmed_us = state.through_us if state.alarmed_us is None else state.alarmed_us
            return msgspec.structs.replace(state, alarmed_us=alarmed_us, quiet_windows=0, suspects=suspects)
    if state.alarmed_us is None:
        return state
    quiet = state.quiet_windows + 1 if state.evidence < limit / 10 else 0
    if quiet < QUIET_WINDOWS:
        return msgspec.structs.replace(state, quiet_windows=quiet)
    return msgspec.structs.replace(state, alarmed_us=None, quiet_windows=0, suspects={})


def _suspects(watched: Mapping[str, Watched]) -> dict[str, float]:
    """Return the features behind an alarm with their evidence, the loudest first: a diagnosis, not a test."""
    loudest = sorted(watched.items(), key=lambda item: -item[1].evidence)[:5]
    return {name: feature.evidence for name, feature in loudest if feature.evidence >= loudest[0][1].evidence / 100}


def _uniform(seed: str, name: str, start_us: int) -> float:
    return (int(digest_of([seed, name, start_us])[:13], 16) + 0.5) / 16**13
