"""Running sums of floats that end as the exact sum, rounded once, so that it does not matter how they were reached."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_UNIT = 2.0**-53


def exact_sums(changes: Floats, nonzero: Ints) -> tuple[Floats, Ints]:
    """Return the running sums of ``changes`` and the places at which their rounding could not be proven.

    The error of each addition is kept beside the sum (Knuth's two-sum), so the pair carries about 106 bits. A place is
    in doubt where the rest lies within the bound of what those errors' own sum may have lost of a rounding boundary.
    ``nonzero`` counts the values inside that are not zero: without any the sum is zero.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        running = np.cumsum(changes)
        before = np.concatenate(([0.0], running[:-1]))[: len(running)]
        lost = np.cumsum(_two_sum_error(before, changes, running))
        sums = running + lost
        rest = _two_sum_error(running, lost, sums)
        bound = len(changes) * _UNIT * np.max(np.abs(lost), initial=0.0)
        half_gap = 0.5 * (np.abs(sums) - np.nextafter(np.abs(sums), 0.0))
        safe = (np.abs(rest) + bound < half_gap) | (bound == 0.0)
    empty = nonzero == 0
    sums[empty] = 0.0
    return sums + 0.0, np.flatnonzero(~safe & ~empty)


def _two_sum_error(left: Floats, right: Floats, total: Floats) -> Floats:
    """Return left + right - total without rounding, where total is the rounded sum."""
    shadow = total - left
    error: Floats = (left - (total - shadow)) + (right - shadow)
    return error
