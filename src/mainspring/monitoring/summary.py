"""One window of one feature in a few numbers, and how far two of them are apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
CATEGORIES_KEPT = 200
REST = "(rest)"


class Numeric(msgspec.Struct, frozen=True, tag="numeric", array_like=True):
    """Quantiles at ``LEVELS`` (empty when every value is missing) and the share that is missing."""

    quantiles: tuple[float, ...]
    missing_share: float


class Categorical(msgspec.Struct, frozen=True, tag="categorical", array_like=True):
    """The share of each category, ``None`` written as an empty name."""

    shares: dict[str, float]


Summary = Numeric | Categorical


def summarise(values: Sequence[Any]) -> Summary:
    """Return the summary of a window's values: numbers by quantiles, anything else by categories.

    >>> summarise(["a", "a", "b", None]).shares
    {'': 0.25, 'a': 0.5, 'b': 0.25}
    """
    present = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        numbers = np.asarray([value for value in present if math.isfinite(value)], dtype=float)
        quantiles = tuple(_short(q) for q in np.quantile(numbers, LEVELS)) if len(numbers) else ()
        return Numeric(quantiles, 1 - len(numbers) / len(values) if values else 0.0)
    counts = Counter("" if value is None else str(value) for value in values)
    kept = counts.most_common(CATEGORIES_KEPT)
    rest = len(values) - sum(count for _, count in kept)
    shares = {name: _short(count / len(values)) for name, count in sorted(kept)}
    return Categorical({**shares, REST: _short(rest / len(values))} if rest else shares)


def average(summaries: Sequence[Summary]) -> Summary:
    """Return the summary in the middle: quantiles (the Wasserstein barycentre) or shares averaged."""
    numeric = [summary for summary in summaries if isinstance(summary, Numeric)]
    if numeric:
        with_values = [summary.quantiles for summary in numeric if summary.quantiles]
        middle = tuple(_short(q) for q in np.mean(with_values, axis=0)) if with_values else ()
        return Numeric(middle, float(np.mean([summary.missing_share for summary in numeric])))
    total: Counter[str] = Counter()
    for summary in summaries:
        if isinstance(summary, Categorical):
            total.update(summary.shares)
    return Categorical({name: _short(share / len(summaries)) for name, share in total.items()})


def spread(summaries: Sequence[Summary]) -> float:
    """Return the usual standard deviation inside a window, for scaling distances; 1 where there is none."""
    widths = [s.quantiles[-1] - s.quantiles[0] for s in summaries if isinstance(s, Numeric) and s.quantiles]
    width = float(np.mean(widths)) if widths else 0.0
    return width / 3.29 if width > 0 else 1.0  # a normal distribution's 5 % and 95 % lie 3.29 sd apart


def distance(window: Summary, reference: Summary, scale: float) -> float:
    """Return how far a window is from the reference: mean move of its quantiles in sd plus the change of the missing
    share; for categories the total variation, a share between 0 and 1.

    >>> distance(Numeric((1.0,) * 19, 0.0), Numeric((0.0,) * 19, 0.0), scale=2.0)
    0.5
    """
    if isinstance(window, Numeric) and isinstance(reference, Numeric):
        moved = 0.0
        if window.quantiles and reference.quantiles:
            moved = float(np.mean(np.abs(np.subtract(window.quantiles, reference.quantiles)))) / scale
        return moved + abs(window.missing_share - reference.missing_share)
    if isinstance(window, Categorical) and isinstance(reference, Categorical):
        names = window.shares.keys() | reference.shares.keys()
        return 0.5 * sum(abs(window.shares.get(name, 0.0) - reference.shares.get(name, 0.0)) for name in sorted(names))
    return 1.0 if _any_values(window) else abs(_missing(window) - _missing(reference))


def _short(value: float) -> float:
    """Return the value to seven digits: states are stored, and more would be noise."""
    return float(f"{value:.7g}")


def _any_values(summary: Summary) -> bool:
    return bool(summary.quantiles) if isinstance(summary, Numeric) else set(summary.shares) != {""}


def _missing(summary: Summary) -> float:
    return summary.missing_share if isinstance(summary, Numeric) else summary.shares.get("", 0.0)
