"""How long a release will take: from traffic, labelled share, margin and the variance of the loss difference."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from mainspring.release.evidence.asymptotic import FEWEST_UNITS, PLANNED_UNITS, log_e_unbounded, sharpness
from mainspring.release.evidence.eprocess import CURVES, LAMBDAS, LOG_GRID

POWER_Z = 0.84  # four times in five
MOST_UNITS = 1 << 40
TINIEST = 1e-300


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


def units_needed(
    margin: float,
    variance: float,
    bound: float | None,
    alpha: float,
    *,
    weight: float = 1.0,
    planned_units: int = PLANNED_UNITS,
) -> int:
    """Return how many units reject "worse by ``margin``" four times in five when the challenger is ``margin`` better.

    ``variance`` is that of one unit's term; ``weight`` its w (1 for paired rows). Without a ``bound`` the test is
    asymptotic, and sharpest at ``planned_units``.

    >>> 4_500 < units_needed(0.01, 0.11**2, 4.595, 0.05) < 6_500
    True
    """
    if bound is None:
        eta = max(variance, TINIEST) * planned_units / sharpness(alpha)
        return _least(lambda n: _reached_unbounded(n, margin * weight, variance, eta), math.log(1.0 / alpha))
    return _least(lambda n: _reached(n, margin * weight, variance, bound), math.log(1.0 / alpha) + LOG_GRID)


def fewest_units(minimum: int, bound: float | None, share: float | None = None) -> int:
    """Return how many units there must be in all before a metric can be judged.

    ``share`` is the challenger's, where units are drawn: then each arm of an asymptotic test must have enough.
    """
    if bound is not None:
        return minimum
    return max(minimum, FEWEST_UNITS if share is None else math.ceil(FEWEST_UNITS / min(share, 1.0 - share)))


def _least(reached: Callable[[int], float], needed: float) -> int:
    low, high = 1, MOST_UNITS
    while low < high:
        middle = (low + high) // 2
        if reached(middle) >= needed:
            high = middle
        else:
            low = middle + 1
    return low


def _reached(n: int, gap: float, variance: float, bound: float) -> float:
    drift = n * (LAMBDAS * gap / bound + CURVES * variance / bound**2)
    spread = POWER_Z * LAMBDAS / bound * math.sqrt(n * variance)
    return float((drift - spread).max())


def _reached_unbounded(n: int, gap: float, variance: float, eta: float) -> float:
    return float(log_e_unbounded(n * gap - POWER_Z * math.sqrt(n * variance), n * variance, eta))
