"""What is claimed of *days like these*, which is another claim than that of the rows seen: days, not rows, are drawn.

Shown beside a gate, for one look, from 14 days on; it decides nothing. It holds where days are independent of one
another and vary evenly to both sides, whatever their sizes; where they hang together it is too narrow
(docs/explain/what-is-promised.md says by how much).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mainspring.checks.days import interval_by_days
from mainspring.kernel.duration import DAY_US
from mainspring.release.evidence.eprocess import Floats

FEWEST_DAYS = 14
Day: TypeAlias = tuple[float, float]


def days_of(before: Mapping[int, Day], at_us: NDArray[np.int64], w: Floats, x: Floats) -> dict[int, Day]:
    """Return Σw and ΣX of each day (a number of days since 1970), with these units added."""
    day, place = np.unique(at_us // DAY_US, return_inverse=True)
    weights, sums = np.bincount(place, weights=w), np.bincount(place, weights=x)
    found = dict(before)
    for one, weight, total in zip(day.tolist(), weights.tolist(), sums.tolist(), strict=True):
        known = found.get(one, (0.0, 0.0))
        found[one] = (known[0] + weight, known[1] + total)
    return found


def by_days(days: Mapping[int, Day], alpha: float) -> tuple[float, float, int] | None:
    """Return (low, high, days) of ΣX/Σw by day blocks, two-sided at ``alpha``; None below 14 days.

    >>> by_days({day: (100.0, 1.0 + day % 2) for day in range(14)}, 0.05)
    (0.0120..., 0.0179..., 14)
    """
    if len(days) < FEWEST_DAYS:
        return None
    w, x = (np.array(one) for one in zip(*days.values(), strict=True))
    _, low, high = interval_by_days(w, x, alpha)
    return low, high, len(w)
