"""Is the champion still as good as it was? Pure, window by window, on matured rows in the order of their decisions.

Two detectors share the budget. *Base rate*: each row's loss less that of a running base rate, compared with what the
version showed in its reference (the mean less 1.645 standard errors over windows). *Anchor*: each row's loss less that
of the anchor version on the same row. Both may be looked at after every window. The claim is about the mean over the
rows seen, each given its past: on a hard day a model that really is worse on that day counts as worse.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.checks.credit import credit, places
from mainspring.monitoring.evalues import LAMBDAS, detect_mean
from mainspring.monitoring.finding import Finding, Point, kept
from mainspring.monitoring.losses import Loss, roc_auc
from mainspring.monitoring.spec import Quality

RECOVERED_WINDOWS = 7
_NOTHING = (0.0,) * len(LAMBDAS)


class Window(msgspec.Struct, frozen=True):
    """The matured rows ``(n,)`` of one window; ``anchor`` is NaN where the anchor did not score the row.

    ``rows`` counts labelled and unlabelled ones. Where classes come true, ``classes`` has that of each row; answers are
    credits then, and every outcome is 1.
    """

    rows: int
    outcome: NDArray[np.float64]
    answer: NDArray[np.float64]
    anchor: NDArray[np.float64]
    classes: tuple[str, ...] = ()


class Day(msgspec.Struct, frozen=True, array_like=True):
    """A past window: labelled rows, the sum of their outcomes, the summed advantage over the base rate, classes."""

    rows: int
    outcomes: float
    advantage: float | None
    classes: dict[str, int] = {}


class QualityState(msgspec.Struct, frozen=True):
    """Everything that the next window needs, about one version. ``reference`` is its advantage when it was new.

    ``known`` are the classes that it knows, where there are any; ``unknown`` counts others that came true.
    """

    version: str = ""
    number: int = 0
    anchor: str = ""
    through_us: int | None = None
    epsilon: float | None = None
    bound: float | None = None
    past: tuple[Day, ...] = ()
    shown: tuple[Day, ...] = ()
    reference: float | None = None
    base_evidence: tuple[float, ...] = _NOTHING
    anchor_evidence: tuple[float, ...] = _NOTHING
    alarmed_us: int | None = None
    alarmed_by: str = ""
    rows: int = 0
    matured: int = 0
    winsorised: int = 0
    anchor_rows: int = 0
    anchor_difference: float = 0.0
    loss: float | None = None
    auc: float | None = None
    points: tuple[Point, ...] = ()
    known: tuple[str, ...] = ()
    unknown: dict[str, int] = {}


def step(state: QualityState, spec: Quality, window: Window, *, until_us: int) -> QualityState:
    """Return the state after one matured window that ends at ``until_us``."""
    matured = len(window.outcome)
    state = msgspec.structs.replace(
        state, through_us=until_us, rows=state.rows + window.rows, matured=state.matured + matured
    )
    if matured == 0:
        return state
    loss, state = _loss(_with_unknown(state, window), spec, window)
    losses = loss(window.outcome, window.answer)
    state = msgspec.structs.replace(
        state,
        loss=float(losses.mean()),
        auc=roc_auc(window.outcome, window.answer) if spec.metric in ("log_loss", "brier") else None,  # none of classes
        winsorised=state.winsorised + loss.winsorised(window.outcome, window.answer),
    )
    base = _base_rate(state, spec, window)
    advantages = None if base is None else loss(window.outcome, base) - losses
    if advantages is not None:
        state = _against_base(state, spec, loss, advantages)
    state = _against_anchor(state, spec, loss, window, losses)
    advantage = None if advantages is None else float(advantages.sum())
    day = Day(matured, float(window.outcome.sum()), advantage, dict(Counter(window.classes)))
    mean = None if advantage is None else advantage / matured
    point = Point(until_us, mean, max(evidence(state)), matured, window.rows)
    past = (*state.past, day)[-max(spec.base_rate_windows, RECOVERED_WINDOWS) :]
    return _judge(msgspec.structs.replace(state, past=past, points=kept(state.points, point)), spec)


def evidence(state: QualityState) -> tuple[float, float]:
    """Return the two detectors: against the base rate, against the anchor."""
    return float(np.mean(state.base_evidence)), float(np.mean(state.anchor_evidence))


def with_anchor(state: QualityState, anchor: str) -> QualityState:
    """Return the state with another anchor, about which nothing is known yet."""
    return msgspec.structs.replace(state, anchor=anchor, anchor_evidence=_NOTHING, anchor_rows=0, anchor_difference=0.0)


def find(state: QualityState, spec: Quality, *, at_us: int) -> Finding:
    """Return what the state says."""
    base, anchor = evidence(state)
    numbers: dict[str, Any] = {
        "metric": spec.metric,
        "margin": spec.margin,
        "version": state.version,
        "loss": state.loss,
        "auc": state.auc,
        "reference_advantage": state.reference,
        "recent_advantage": _recent(state),
        "base_evidence": base,
        "anchor": state.anchor,
        "anchor_evidence": anchor,
        "anchor_difference": state.anchor_difference / state.anchor_rows if state.anchor_rows else None,
        "anchor_rows": state.anchor_rows,
        "limit": limit(spec),
        "winsorised": state.winsorised,
        **({"unknown_classes": state.unknown} if state.unknown else {}),
    }
    verdict, reason = _words(state, spec)
    subject = f"version {state.number}" if state.number else "champion"
    return Finding("quality", subject, verdict, reason, at_us, numbers, state.matured, state.rows)


def _words(state: QualityState, spec: Quality) -> tuple[Any, str]:
    of = f"{state.matured} matured of {state.rows}"
    if state.unknown:
        of += f"; {sum(state.unknown.values())} came true as what it does not know: {', '.join(sorted(state.unknown))}"
    if state.alarmed_us is not None:
        what = {
            "anchor": f"the anchor is better by more than {spec.margin:g} on the same rows",
            "base rate": f"its advantage over the base rate fell by more than {spec.margin:g} below its reference",
        }[state.alarmed_by]
        return "alarm", f"{what} ({of})"
    if not state.version:
        return "insufficient", "there is no champion"
    if state.matured == 0:
        return "insufficient", f"none of {state.rows} rows has matured yet" if state.rows else "no row has come yet"
    if state.reference is None and state.anchor_rows == 0:
        shown = f"{len(state.shown)} of {spec.reference_windows} windows of reference"
        return "insufficient", f"too early to tell: {shown} ({of})"
    return "ok", f"{spec.metric} keeps within {spec.margin:g} of its reference ({of})"


def _loss(state: QualityState, spec: Quality, window: Window) -> tuple[Loss, QualityState]:
    """Return the loss, whose bounds are fixed by the first window that is seen."""
    if spec.metric == "log_loss" and state.epsilon is None:
        rarer = _rarer(window) or 1 / (len(window.outcome) + 1)
        state = msgspec.structs.replace(state, epsilon=max(1e-4, min(0.01, rarer / 10)))
    if state.bound is None:
        spread = float(np.std(window.outcome)) or max(1.0, abs(float(window.outcome[0])))
        default = (6 * spread) ** 2 if spec.metric == "squared_error" else 6 * spread
        state = msgspec.structs.replace(state, bound=spec.bound or default)
    return Loss(spec.metric, epsilon=state.epsilon or 0.01, bound=state.bound or 1.0), state


def _with_unknown(state: QualityState, window: Window) -> QualityState:
    """Count classes that came true and that the version does not know; each costs it all that an answer can."""
    others = Counter(name for name in window.classes if name not in state.known)
    return msgspec.structs.replace(state, unknown=dict(Counter(state.unknown) + others)) if others else state


def _rarer(window: Window) -> float:
    """Return how often the rarer of two outcomes came true, or the rarest class of several; 0 where one alone did."""
    if window.classes:
        counts = Counter(window.classes)
        return min(counts.values()) / len(window.classes) if len(counts) > 1 else 0.0
    rate = float(window.outcome.mean())
    return min(rate, 1 - rate)


def _base_rate(state: QualityState, spec: Quality, window: Window) -> NDArray[np.float64] | None:
    """Return what a running base rate answers to each row (n,): of classes, the share that each has had."""
    rows, matured = sum(day.rows for day in state.past), len(window.outcome)
    if not rows:
        return None
    if not window.classes:
        return np.full(matured, sum(day.outcomes for day in state.past) / rows)
    counts: Counter[str] = Counter()
    for day in state.past:
        counts.update(day.classes)
    known = sorted(counts)
    shares = np.array([counts[name] for name in known], dtype=np.float64) / rows
    return credit(spec.metric, np.tile(shares, (matured, 1)), places(window.classes, known))


def _against_base(state: QualityState, spec: Quality, loss: Loss, advantages: NDArray[np.float64]) -> QualityState:
    if state.reference is None:
        shown = (*state.shown, Day(len(advantages), 0.0, float(advantages.sum())))
        reference = _reference(shown) if len(shown) >= spec.reference_windows else None
        return msgspec.structs.replace(state, shown=shown, reference=reference)
    terms = state.reference - spec.margin - advantages
    bound = loss.bound + max(0.0, spec.margin - state.reference)
    updated = detect_mean(state.base_evidence, float(terms.sum()), float(np.square(terms).sum()), bound)
    return msgspec.structs.replace(state, base_evidence=updated)


def _against_anchor(
    state: QualityState, spec: Quality, loss: Loss, window: Window, losses: NDArray[np.float64]
) -> QualityState:
    both = ~np.isnan(window.anchor)
    if not both.any():
        return state
    differences = losses[both] - loss(window.outcome[both], window.anchor[both])
    terms = differences - spec.margin
    bound = loss.bound + spec.margin
    updated = detect_mean(state.anchor_evidence, float(terms.sum()), float(np.square(terms).sum()), bound)
    return msgspec.structs.replace(
        state,
        anchor_evidence=updated,
        anchor_rows=state.anchor_rows + int(both.sum()),
        anchor_difference=state.anchor_difference + float(differences.sum()),
    )


def _reference(shown: tuple[Day, ...]) -> float:
    """Return the mean advantage less 1.645 standard errors over windows: a lucky start is not held against it."""
    means = np.asarray([(day.advantage or 0.0) / day.rows for day in shown])
    return float(means.mean() - 1.645 * means.std(ddof=1) / np.sqrt(len(means)))


def _recent(state: QualityState) -> float | None:
    days = [day for day in state.past[-RECOVERED_WINDOWS:] if day.advantage is not None]
    rows = sum(day.rows for day in days)
    return sum(day.advantage or 0.0 for day in days) / rows if rows else None


def limit(spec: Quality) -> float:
    """Return the evidence at which a detector alarms."""
    return 2 * spec.budget_windows  # two detectors share the budget


def _judge(state: QualityState, spec: Quality) -> QualityState:
    base, anchor = evidence(state)
    if max(base, anchor) >= limit(spec):
        by = "base rate" if base >= anchor else "anchor"
        alarmed_us = state.through_us if state.alarmed_us is None else state.alarmed_us
        cleared = {"base_evidence": _NOTHING, "anchor_evidence": _NOTHING}
        return msgspec.structs.replace(state, alarmed_us=alarmed_us, alarmed_by=by, **cleared)
    if state.alarmed_us is None:
        return state
    recent, reference = _recent(state), state.reference
    windows_since = sum(1 for point in state.points if point.at_us > state.alarmed_us)
    recovered = recent is not None and (reference is None or recent >= reference - spec.margin)
    if state.alarmed_by == "base rate" and windows_since >= RECOVERED_WINDOWS and recovered:
        return msgspec.structs.replace(state, alarmed_us=None, alarmed_by="")
    if state.alarmed_by == "anchor" and windows_since >= 2 * RECOVERED_WINDOWS and anchor < 1:
        return msgspec.structs.replace(state, alarmed_us=None, alarmed_by="")
    return state
