"""Means without a bound: an e-process and its interval, *asymptotic*, and labelled so (arXiv 2103.06476).

With sums S and V: ``E = 2 √(η/(V+η)) exp(S²/2(V+η)) Φ(S/√(V+η))``, a half-normal mixture over all effects of one sign.
What both sides leave standing, α/2 each, is ``ΣX/Σw ± √((V+η) ln((V+η)/(ηα²)))/Σw`` to a third of a percent: Φ of the
edge is all that differs. It is narrowest at V* for ``η = V*/(1 + a + ln a)``, ``a = -2 ln α`` (8.8 at α = .05). V* is
fixed before: an η that follows V would make every look the narrowest one, and err.

It holds at all looks together in the limit of many units; with few, or with some that are far larger than the others,
it errs more than it says. So nothing is looked at before 500 units an arm, nor while one term² is above V/50.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainspring.release.evidence.eprocess import Floats

FEWEST_UNITS = 500
LARGEST_PART = 1.0 / 50.0
PLANNED_UNITS = 10_000  # where nobody has planned, the interval is narrowest at so many
_FARTHEST = 1e150  # what a square of can still be written down
_ROUNDS = 12  # each brings the edge nearer to where it lies by a factor of five at least


def sharpness(alpha: float) -> float:
    """Return V*/η, for an interval of error ``alpha`` that is narrowest at V*.

    >>> round(sharpness(0.05), 1)
    8.8
    """
    spent = -2.0 * math.log(alpha)
    return max(1.0, 1.0 + spent + math.log(spent))


def log_e_unbounded(s: ArrayLike, v: ArrayLike, eta: float) -> Floats:
    """Return ln E for sums ``s`` and ``v`` of any one shape; large where s is far above 0."""
    from scipy.special import log_ndtr

    total = np.asarray(v, dtype=np.float64) + eta
    edge = np.minimum(np.asarray(s, dtype=np.float64) / np.sqrt(total), _FARTHEST)
    return np.asarray(math.log(2.0) + 0.5 * (math.log(eta) - np.log(total)) + 0.5 * edge * edge + log_ndtr(edge))


def peak_unbounded(s: Floats, v: Floats, eta: float, least: float = 0.0) -> float:
    """Return the greatest ln E along running sums of shape (n,), or ``least`` where none is greater."""
    above = s > 0.0
    return max(least, float(log_e_unbounded(s[above], v[above], eta).max())) if above.any() else least


def asymptotic_interval(w: float, x: float, v: float, alpha: float, eta: float) -> tuple[float, float]:
    """Return the interval of ΣX/Σw that the tests of both sides leave standing, ``alpha``/2 a side.

    >>> low, high = asymptotic_interval(1_000.0, 20.0, 1_000.0, 0.05, 1_000.0 / 8.8)
    >>> round(low, 3), round(high, 3)
    (-0.076, 0.116)
    """
    from scipy.special import log_ndtr

    needed = 0.5 * math.log((v + eta) / eta) - math.log(alpha)
    edge = math.sqrt(2.0 * needed)
    for _ in range(_ROUNDS):
        edge = math.sqrt(2.0 * (needed - float(log_ndtr(edge))))
    reach = edge * math.sqrt(v + eta) / w
    return x / w - reach, x / w + reach


def readable(largest: Floats, v: Floats, smallest_arm: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell at which of some moments (n,) E may be looked at; ``largest`` is the largest term² until each."""
    return np.asarray((smallest_arm >= FEWEST_UNITS) & (v > 0.0) & np.isfinite(v) & (largest <= LARGEST_PART * v))


def unreadable(largest: float, v: float, smallest_arm: int) -> str:
    """Return why E may not be looked at yet, in words; nothing where it may."""
    if smallest_arm < FEWEST_UNITS:
        return f"an arm has {smallest_arm} units, fewer than {FEWEST_UNITS}"
    if v <= 0.0:
        return "no unit differs from what was expected, so nothing tells how uncertain it is"
    if largest > LARGEST_PART * v:
        return f"one unit brings {100.0 * largest / v:.3g}% of all that is uncertain, more than {LARGEST_PART:.0%}"
    return ""
