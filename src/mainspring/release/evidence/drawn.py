"""Drawn terms: each unit met one arm, by a logged draw. Doubly robust, without division by a propensity.

With p the challenger's propensity: ``q = 1-p``, ``w = q p``, ``h = q`` on the challenger's arm and ``-p`` on the stable
one, ``X = w(μ̂₁-μ̂₀) + h(loss - μ̂ of its arm)``, ``V`` sums ``(h(loss - μ̂))²``. ΣX/Σw is the w-weighted mean effect; it
holds when shares change, and when they are chosen from the evidence.

Any μ̂ that is known before its unit is drawn leaves ``X - wΔ`` without a trend, so μ̂ decides how wide the interval is,
never whether it holds. Where losses have a bound, μ̂ is held within it, so that terms stay bounded. Where they have none
there is nothing to hold it to, nor a number that it could begin with: it is drawn towards what all units before were
like, and the first unit of all teaches only that.
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
    challenged: NDArray[np.bool_],
    losses: Floats,
    arms: tuple[int, float, int, float],
    prior: float,
    bound: float | None,
) -> tuple[tuple[Floats, Floats], tuple[int, float, int, float]]:
    """Return μ̂ of (stable, challenger) from the units before each one, and the arms' sums after all of them.

    Without a ``bound`` the ``prior`` is the mean of all units before; of the first unit μ̂ is NaN then.
    """
    stable_before, stable_n, stable_total = _before(~challenged, losses, arms[0], arms[1])
    challenger_before, challenger_n, challenger_total = _before(challenged, losses, arms[2], arms[3])
    known = _pooled(stable_before, challenger_before) if bound is None else prior
    both = (stable_before, challenger_before)
    means = [(total + PRIOR_UNITS * known) / (n + PRIOR_UNITS) for n, total in both]
    if bound is not None:
        means = [np.clip(one, 0.0, bound) for one in means]
    return (means[0], means[1]), (stable_n, stable_total, challenger_n, challenger_total)


def _pooled(stable: tuple[Floats, Floats], challenger: tuple[Floats, Floats]) -> Floats:
    """Return the mean of all units before each one, NaN where there are none."""
    n, total = stable[0] + challenger[0], stable[1] + challenger[1]
    return np.where(n > 0, total / np.maximum(n, 1.0), np.nan)


def _before(arm: NDArray[np.bool_], losses: Floats, n: int, total: float) -> tuple[tuple[Floats, Floats], int, float]:
    paid = np.where(arm, losses, 0.0)
    counts: Floats = n + np.cumsum(arm, dtype=np.float64)
    totals: Floats = total + np.cumsum(paid)
    if len(losses) == 0:
        return (counts, totals), n, total
    return (counts - arm, totals - paid), int(counts[-1]), float(totals[-1])
