"""E-values and the detector built from them (Shin, Ramdas, Rinaldo, arXiv 2203.03532).

A detector adds up what each window says against "all is well": ``M ← e·(1 + M)``. Its expected value after T healthy
windows is at most T, so alarming at ``M ≥ budget`` and starting again costs at most T/budget false alarms in T windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LAMBDAS: NDArray[np.float64] = 0.9 * 2.0 ** (-np.arange(18) / 2)
_PENALTIES: NDArray[np.float64] = np.log1p(-LAMBDAS) + LAMBDAS
_LARGEST = 1e250  # far above any budget; keeps the recursion finite


def calibrate(p: float) -> float:
    """Return the e-value of a p-value: the mixture of ``κ p^(κ-1)`` over κ in (0, 1).

    >>> round(calibrate(0.01), 3)
    4.451
    """
    p = max(p, 1e-12)
    if p > 1 - 1e-4:  # the formula loses its digits beside 1, where its limit is 1/2
        return 0.5
    log = math.log(p)
    return (1 - p + p * log) / (p * log * log)


def rank_p(score: float, past: Sequence[float], uniform: float) -> float:
    """Return the p-value of ``score`` among ``past`` scores; ties, itself included, are broken by ``uniform``.

    >>> rank_p(3.0, [1.0, 2.0, 3.0], uniform=0.5)
    0.25
    """
    above = sum(1 for other in past if other > score)
    ties = sum(1 for other in past if other == score)
    return (above + uniform * (ties + 1)) / (len(past) + 1)


def detect(evidence: float, e: float) -> float:
    """Return the detector after one more window."""
    return min(e * (1 + evidence), _LARGEST)


def detect_mean(evidence: Sequence[float], total: float, squares: float, bound: float) -> tuple[float, ...]:
    """Return the detectors, one for each λ, after a window in which terms above ``-bound`` summed to ``total``.

    Each term has mean at most 0 while all is well; ``squares`` is the sum of their squares.
    """
    exponent = LAMBDAS * total / bound + _PENALTIES * squares / bound**2
    factors = np.exp(np.minimum(exponent, 500.0))
    return tuple(float(value) for value in np.minimum(factors * (1 + np.asarray(evidence)), _LARGEST))


def detect_share(evidence: float, bad: int, rows: int, healthy_share: float) -> float:
    """Return the detector after a window in which ``bad`` of ``rows`` were bad and ``healthy_share`` would be well."""
    shares = [min(healthy_share * factor, (1 + healthy_share) / 2) for factor in (1.5, 3.0, 10.0)]
    logs = [
        bad * math.log(share / healthy_share) + (rows - bad) * math.log((1 - share) / (1 - healthy_share))
        for share in shares
    ]
    return detect(evidence, sum(math.exp(min(log, 500.0)) for log in logs) / len(logs))
