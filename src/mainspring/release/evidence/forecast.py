"""How long a release will take: from traffic, labelled share, margin and the variance of the loss difference."""

from __future__ import annotations

import math

import msgspec

from mainspring.release.evidence.eprocess import CURVES, LAMBDAS, LOG_GRID

POWER_Z = 0.84  # four times in five
MOST_UNITS = 1 << 40


class Forecast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a decision is expected, four times in five. ``decidable`` is None where nothing is known to judge by."""

    units: int | None
    days: float | None
    shadow_days: float | None
    limit_days: float
    decidable: bool | None
    reason: str
    rows_per_day: float | None = None
    labelled_share: float | None = None
    difference_sd: float | None = None


def units_needed(margin: float, variance: float, bound: float, alpha: float, *, weight: float = 1.0) -> int:
    """Return how many units reject "worse by ``margin``" four times in five when the challenger is ``margin`` better.

    ``variance`` is that of one unit's term; ``weight`` its w (1 for paired rows).

    >>> 4_500 < units_needed(0.01, 0.11**2, 4.595, 0.05) < 6_500
    True
    """
    needed = math.log(1.0 / alpha) + LOG_GRID
    low, high = 1, MOST_UNITS
    while low < high:
        middle = (low + high) // 2
        if _reached(middle, margin * weight, variance, bound) >= needed:
            high = middle
        else:
            low = middle + 1
    return low


def _reached(n: int, gap: float, variance: float, bound: float) -> float:
    drift = n * (LAMBDAS * gap / bound + CURVES * variance / bound**2)
    spread = POWER_Z * LAMBDAS / bound * math.sqrt(n * variance)
    return float((drift - spread).max())
