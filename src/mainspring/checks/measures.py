"""Metrics of answers against what came true, as plain NumPy; one that cannot be computed is None, never a number.

Scores are (n,), or (n, k) where there are classes; then a label is the place of the class that came true.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt

from mainspring.checks.credit import credit
from mainspring.checks.days import interval_by_days
from mainspring.kernel.schema import Task

Floats = npt.NDArray[np.float64]
CLIP = 1e-6


def measure(task: Task, label: Floats, score: Floats) -> dict[str, float | None]:
    """Return every metric of the task, with the number of rows."""
    found: dict[str, float | None] = {name: METRICS[name](label, score) for name in _OF_TASK.get(task, _OF_ESTIMATES)}
    if task == "multiclass":
        base = {"commonest_share": _mean((label == _commonest(label)).astype(np.float64))}
    else:
        base = {"base_rate": _mean(label)} if task == "binary" else {"bias": _mean(score - label)}
    return {**found, **base, "rows": float(label.size)}


def roc_auc(label: Floats, score: Floats) -> float | None:
    """Return the chance that a positive row is scored above a negative one; None with one class only.

    Of several classes it is the mean over those that came true, each against the rest.

    >>> roc_auc(np.array([0.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.3]))
    0.5
    """
    if score.ndim == 2:
        areas = [roc_auc((label == one).astype(np.float64), score[:, int(one)]) for one in np.unique(label)]
        return _mean(np.array([area for area in areas if area is not None]))
    positive = int(label.sum())
    negative = label.size - positive
    if positive == 0 or negative == 0 or not np.isfinite(score).all():
        return None
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    return float((ranks[label > 0.5].sum() - positive * (positive + 1) / 2) / (positive * negative))


def log_losses(label: Floats, score: Floats) -> Floats:
    """Return the log loss of each row, scores clipped at one in a million."""
    label, score = _credited("log_loss", label, score)
    safe = np.clip(score, CLIP, 1 - CLIP)
    return np.asarray(-(label * np.log(safe) + (1 - label) * np.log1p(-safe)))


def squared_errors(label: Floats, score: Floats) -> Floats:
    """Return the squared error (Brier score for probabilities) of each row."""
    label, score = _credited("brier", label, score)
    return np.asarray((score - label) ** 2)


def mistakes(label: Floats, score: Floats) -> Floats:
    """Return 1 for each row that was decided wrongly: the likeliest class, or a probability cut at one half."""
    label, score = _credited("error", label, score)
    return np.asarray((score >= 0.5) != (label > 0.5), dtype=np.float64)


def absolute_errors(label: Floats, score: Floats) -> Floats:
    """Return the absolute error of each row."""
    return np.asarray(np.abs(score - label))


def log_loss(label: Floats, score: Floats) -> float | None:
    """Return the mean log loss."""
    return _mean(log_losses(label, score))


def brier(label: Floats, score: Floats) -> float | None:
    """Return the mean squared error of a probability."""
    return _mean(squared_errors(label, score))


def error(label: Floats, score: Floats) -> float | None:
    """Return the share of rows that were decided wrongly."""
    return _mean(mistakes(label, score))


def accuracy(label: Floats, score: Floats) -> float | None:
    """Return the share of rows that were decided rightly."""
    return _mean(1.0 - mistakes(label, score))


def f1(label: Floats, score: Floats) -> float | None:
    """Return the harmonic mean of precision and recall of positive rows, a probability cut at one half.

    Of several classes it is the mean over all that came true or were answered (macro F1). None where there is neither a
    positive row nor a positive answer.

    >>> f1(np.array([1.0, 1.0, 0.0]), np.array([0.9, 0.2, 0.6]))
    0.5
    """
    if not np.isfinite(score).all():
        return None
    said = score.argmax(axis=1).astype(np.float64) if score.ndim == 2 else (score >= 0.5).astype(np.float64)
    classes = np.union1d(label, said) if score.ndim == 2 else np.array([1.0])
    met = [(float(((label == one) & (said == one)).sum()), float((label == one).sum()), float((said == one).sum()))
           for one in classes]  # fmt: skip
    return _mean(np.array([2.0 * both / (came + told) for both, came, told in met if came + told]))


def mae(label: Floats, score: Floats) -> float | None:
    """Return the mean absolute error."""
    return _mean(absolute_errors(label, score))


def rmse(label: Floats, score: Floats) -> float | None:
    """Return the root of the mean squared error."""
    mean = _mean(squared_errors(label, score))
    return None if mean is None else sqrt(mean)


def r2(label: Floats, score: Floats) -> float | None:
    """Return the share of variance explained; None when the labels do not vary."""
    if label.size < 2 or label.var() == 0:
        return None
    mean = _mean(squared_errors(label, score))
    return None if mean is None else 1 - mean / float(label.var())


METRICS: dict[str, Callable[[Floats, Floats], float | None]] = {
    "roc_auc": roc_auc,
    "log_loss": log_loss,
    "brier": brier,
    "error": error,
    "accuracy": accuracy,
    "f1": f1,
    "mae": mae,
    "rmse": rmse,
    "r2": r2,
}
LOSSES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "log_loss": log_losses,
    "brier": squared_errors,
    "error": mistakes,
    "squared_error": squared_errors,
    "mae": absolute_errors,
}


_OF_ESTIMATES = ("mae", "rmse", "r2")
_OF_TASK: dict[Task, tuple[str, ...]] = {
    "binary": ("roc_auc", "log_loss", "brier"),
    "multiclass": ("roc_auc", "log_loss", "brier", "accuracy", "f1"),
}


def day_block_interval(
    difference: Floats, day: npt.NDArray[np.int64], level: float = 0.95
) -> tuple[float, float, float, int] | None:
    """Return (mean, low, high, days) of a mean over rows whose days, not rows, are independent; None below 2 days.

    For one look, not to be watched repeatedly.
    """
    if difference.size == 0 or not np.isfinite(difference).all():
        return None
    _, index = np.unique(day, return_inverse=True)
    rows = np.bincount(index).astype(np.float64)
    if rows.size < 2:
        return None
    sums = np.bincount(index, weights=difference).astype(np.float64)
    mean, low, high = interval_by_days(rows, sums, 1.0 - level)
    return mean, low, high, rows.size


def _credited(metric: str, label: Floats, score: Floats) -> tuple[Floats, Floats]:
    if score.ndim == 1:
        return label, score
    return np.ones(len(label)), credit(metric, score, label.astype(np.int64))


def _commonest(label: Floats) -> float:
    classes, counts = np.unique(label, return_counts=True)
    return float(classes[counts.argmax()]) if len(classes) else np.nan


def _mean(values: Floats) -> float | None:
    if values.size == 0:
        return None
    mean = float(values.mean())
    return mean if np.isfinite(mean) else None
