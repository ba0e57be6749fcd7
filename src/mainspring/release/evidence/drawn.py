"""Drawn terms: each unit met one arm, by a logged draw. Doubly robust, without division by a propensity.

With p the challenger's propensity: ``q = 1-p``, ``w = q p``, ``h = q`` on the challenger's arm and ``-p`` on the stable
one, ``X = w(μ̂₁-μ̂₀) + h(loss - μ̂ of its arm)``, ``V`` sums ``(h(loss - μ̂))²``. ΣX/Σw is the w-weighted mean effect; it
holds when shares change, and when they are chosen from the evidence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.eprocess import Floats

PRIOR_UNITS = 10.0


def drawn_terms(
    challenged: NDArray[np.bool_], propensity: Floats, losses: Floats, expected: tuple[Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Return w, X and V's terms (n,); ``propensity`` is the challenger's, ``expected`` μ̂ of (stable, challenger)."""
    stable_mean, challenger_mean = expected
    w = propensity * (1.0 - propensity)
    h = np.where(challenged, 1.0 - propensity, -propensity)
    residual = h * (losses - np.where(challenged, challenger_mean, stable_mean))
    return w, w * (challenger_mean - stable_mean) + residual, residual * residual


def running_means(
    challenged: NDArray[np.bool_], losses: Floats, arms: tuple[int, float, int, float], prior: float, bound: float
) -> tuple[tuple[Floats, Floats], tuple[int, float, int, float]]:
    """Return μ̂ of (stable, challenger) from the units before each one, and the arms' sums after all of them."""
    stable_before, stable_n, stable_total = _before(~challenged, losses, arms[0], arms[1])
    challenger_before, challenger_n, challenger_total = _before(challenged, losses, arms[2], arms[3])
    means = tuple(
        np.clip((total + PRIOR_UNITS * prior) / (n + PRIOR_UNITS), 0.0, bound)
        for n, total in (stable_before, challenger_before)
    )
    return (means[0], means[1]), (stable_n, stable_total, challenger_n, challenger_total)


def _before(arm: NDArray[np.bool_], losses: Floats, n: int, total: float) -> tuple[tuple[Floats, Floats], int, float]:
    paid = np.where(arm, losses, 0.0)
    counts: Floats = n + np.cumsum(arm, dtype=np.float64)
    totals: Floats = total + np.cumsum(paid)
    if len(losses) == 0:
        return (counts, totals), n, total
    return (counts - arm, totals - paid), int(counts[-1]), float(totals[-1])
