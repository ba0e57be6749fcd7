"""What the simulations share: how many runs, where they fail, and E looked at after every row of many runs at once."""

from __future__ import annotations

import math
import os

import numpy as np

from mainspring.release.evidence.drawn import PRIOR_UNITS
from mainspring.release.evidence.eprocess import LAMBDAS, log_e

LONG = os.environ.get("MAINSPRING_STATISTICS") == "long"
STATED = {(2_000, 0.05): 138, (20_000, 0.01): 254}
Z = 3.85  # as far above their means as the two limits above: a true rate at the promise fails once in 17,000 times


def most(runs: int, alpha: float) -> int:
    """Return how many of ``runs`` may err where each errs with probability ``alpha``."""
    return STATED.get((runs, alpha), math.floor(runs * alpha + Z * math.sqrt(runs * alpha * (1.0 - alpha))))


def ever(s: np.ndarray, v: np.ndarray, bound: float, alpha: float) -> np.ndarray:
    """Return for each run of terms (runs, rows) whether E reaches 1/alpha after any row.

    ln E is at most s²/2V and .9 s/c, so it is worked out only where it could be high enough.
    """
    needed = math.log(1.0 / alpha)
    sums_s, sums_v = np.cumsum(s, axis=1), np.cumsum(np.broadcast_to(v, s.shape), axis=1)
    possible = sums_s * LAMBDAS[0] / bound >= needed
    possible &= sums_s * sums_s >= 2.0 * needed * sums_v
    hit = np.zeros(len(s), dtype=bool)
    runs, rows = np.nonzero(possible)
    for start in range(0, len(runs), 65_536):
        part = slice(start, start + 65_536)
        over = log_e(sums_s[runs[part], rows[part]], sums_v[runs[part], rows[part]], bound) >= needed
        hit[runs[part][over]] = True
    return hit


def either(s: np.ndarray, v: np.ndarray, bound: float, alpha: float) -> np.ndarray:
    """Return whether either direction is rejected at any row, alpha/2 a side."""
    return ever(s, v, bound, alpha / 2.0) | ever(-s, v, bound, alpha / 2.0)


def cross_fitted(challenged: np.ndarray, losses: np.ndarray, prior: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both arms' mean losses (stable, challenger) from the units before each one; arrays (runs, rows)."""
    found = []
    for arm in (~challenged, challenged):
        paid = np.where(arm, losses, 0.0)
        n, total = np.cumsum(arm, axis=1) - arm, np.cumsum(paid, axis=1) - paid
        found.append((total + PRIOR_UNITS * prior) / (n + PRIOR_UNITS))
    return found[0], found[1]
