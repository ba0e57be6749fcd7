"""An interval for means without a bound: *asymptotic*, and labelled so (Waudby-Smith et al., arXiv 2103.06476).

``ΣX/Σw ± √((V+η) ln((V+η)/(ηα²)))/Σw`` with ``η = V*/8.8``, V* the V at which it is to be narrowest, fixed before: an η
that follows V would make every look the narrowest one, and err. It holds at all looks together in the limit of many
units; with few, or with some that are far larger than the others, it errs more than it says. So it is given from 500
units an arm on, and only where no term² is above V/50.
"""

from __future__ import annotations

import math

FEWEST_UNITS = 500
LARGEST_PART = 1.0 / 50.0
SHARPNESS = 8.8  # at an error of .05
PLANNED_UNITS = 10_000  # where nobody has planned, the interval is narrowest at so many


def asymptotic_interval(w: float, x: float, v: float, alpha: float, planned_v: float) -> tuple[float, float]:
    """Return the interval of ΣX/Σw, two-sided at ``alpha``.

    >>> low, high = asymptotic_interval(1_000.0, 20.0, 1_000.0, 0.05, 1_000.0)
    >>> round(low, 3), round(high, 3)
    (-0.076, 0.116)
    """
    eta = planned_v / SHARPNESS
    reach = math.sqrt((v + eta) * math.log((v + eta) / (eta * alpha**2))) / w
    return x / w - reach, x / w + reach


def trustworthy(largest: float, v: float, smallest_arm: int) -> str:
    """Return why such an interval may not be given yet; nothing where it may. ``largest`` is the largest term²."""
    if smallest_arm < FEWEST_UNITS:
        return f"an arm has {smallest_arm} units, fewer than {FEWEST_UNITS}"
    if largest > LARGEST_PART * v:
        return f"one unit brings {largest / v:.0%} of all that is uncertain, more than {LARGEST_PART:.0%}"
    return ""
