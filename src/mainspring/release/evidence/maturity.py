"""When a row may enter: in the order of assignment, once older than W + H, never in the order of its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DELAY_QUANTILE = 0.995
ENOUGH_LABELS = 200


def horizon_us(delays_us: NDArray[np.int64], declared_us: int) -> int:
    """Return H: the 99.5 % quantile of the label's delay, at most as declared; the declared one where few are known.

    >>> horizon_us(np.array([3_600_000_000] * 300), 36 * 3_600_000_000)
    3600000000
    """
    if len(delays_us) < ENOUGH_LABELS:
        return declared_us
    waited = int(np.quantile(np.maximum(delays_us, 0), DELAY_QUANTILE, method="higher"))
    return min(max(waited, 1), declared_us)
