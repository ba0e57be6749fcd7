"""The e-process of a bounded mean (Howard, Ramdas, McAuliffe, Sekhon 2020), from sums that merge.

For terms bounded by ``c`` with sums S and V: ``E = (1/18) Σⱼ exp(λⱼ S/c + (ln(1-λⱼ)+λⱼ) V/c²)``, with
``λⱼ = 0.9 · 2^(-j/2)``. Under the hypothesis E is a supermartingale that starts at one, so it reaches ``1/α`` with
probability at most α, however often it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

LAMBDAS: Floats = 0.9 * 2.0 ** (-np.arange(18) / 2.0)
CURVES: Floats = np.log1p(-LAMBDAS) + LAMBDAS
LOG_GRID = math.log(len(LAMBDAS))
_CHUNK_ROWS = 8_192
_POINTS, _REFINEMENTS = 65, 6


def log_e(s: ArrayLike, v: ArrayLike, bound: float) -> Floats:
    """Return ln E for sums ``s`` and ``v`` of any one shape; terms lie within ``bound``."""
    exponent = np.multiply.outer(np.asarray(s, dtype=np.float64) / bound, LAMBDAS)
    exponent += np.multiply.outer(np.asarray(v, dtype=np.float64) / bound**2, CURVES)
    highest = exponent.max(axis=-1)
    return np.asarray(highest + np.log(np.exp(exponent - highest[..., None]).sum(axis=-1)) - LOG_GRID)


def peak(s: Floats, v: Floats, bound: float, least: float = 0.0) -> float:
    """Return the greatest ln E along running sums ``s``, ``v`` of shape (n,), or ``least`` where none is greater.

    E was looked at after every row; but ``ln(1-λ)+λ ≤ -λ²/2``, so ln E is at most s²/2V and .9 s/c, and is worked out
    only where that is above the greatest one found so far.
    """
    ceiling = _ceiling(s, v, bound)
    hopeful = np.flatnonzero(ceiling > least)
    best = least
    if len(hopeful):
        highest = hopeful[int(ceiling[hopeful].argmax())]
        best = max(best, float(log_e(s[highest], v[highest], bound)))
        hopeful = hopeful[ceiling[hopeful] > best]
    for start in range(0, len(hopeful), _CHUNK_ROWS):
        part = hopeful[start : start + _CHUNK_ROWS]
        best = max(best, float(log_e(s[part], v[part], bound).max()))
    return best


def _ceiling(s: Floats, v: Floats, bound: float) -> Floats:
    above = np.maximum(s, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        by_spread = np.where(v > 0.0, above * above / (2.0 * v), np.inf)
    return np.asarray(np.minimum(by_spread, LAMBDAS[0] * above / bound))


def interval(w: float, x: float, v: float, bound: float, alpha: float) -> tuple[float, float]:
    """Return the interval of the mean ΣX/Σw that both tests leave standing, ``alpha``/2 a side, within ±``bound``."""
    if w <= 0:
        return -bound, bound
    needed = math.log(2.0 / alpha)
    upper = _least_rejected(lambda margins: log_e(margins * w - x, np.full_like(margins, v), bound), needed, bound)
    lower = -_least_rejected(lambda margins: log_e(x + margins * w, np.full_like(margins, v), bound), needed, bound)
    return lower, upper


def _least_rejected(log_e_at: Callable[[Floats], Floats], needed: float, bound: float) -> float:
    low, high = -bound, bound
    for _ in range(_REFINEMENTS):
        margins = np.linspace(low, high, _POINTS)
        rejected = np.flatnonzero(log_e_at(margins) >= needed)
        if len(rejected) == 0:
            return bound
        high = float(margins[rejected[0]])
        low = float(margins[max(int(rejected[0]) - 1, 0)])
    return high
