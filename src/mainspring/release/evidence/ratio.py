"""Sample ratio: do units reach the challenger as often as the draw says? Each distinct unit counts once."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.eprocess import Floats

THETAS: Floats = np.array([0.8, 0.9, 1.1, 1.25])


def ratio_terms(challenged: NDArray[np.bool_], propensity: Floats) -> Floats:
    """Return each unit's logarithms, one for each θ: shape (..., 4)."""
    met = np.multiply.outer(challenged.astype(np.float64), np.log(THETAS))
    return np.asarray(met - np.log1p(np.multiply.outer(propensity, THETAS - 1.0)))


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``ln Π θ^A/(1-p+θp)`` for each θ, the greatest E seen, and what was expected and met."""

    logs: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    peak: float = 0.0
    n: int = 0
    challenged: int = 0
    expected: float = 0.0

    def add(self, challenged: NDArray[np.bool_], propensity: Floats) -> Ratio:
        """Return the test after these units, looked at after each of them."""
        if len(challenged) == 0:
            return self
        sums = np.asarray(self.logs) + np.cumsum(ratio_terms(challenged, propensity), axis=0)
        highest = sums.max(axis=1)
        log_e = highest + np.log(np.exp(sums - highest[:, None]).mean(axis=1))
        first, second, third, fourth = (float(one) for one in sums[-1])
        return Ratio(
            logs=(first, second, third, fourth),
            peak=max(self.peak, float(log_e.max())),
            n=self.n + len(challenged),
            challenged=self.challenged + int(challenged.sum()),
            expected=self.expected + float(propensity.sum()),
        )

    def e(self) -> float:
        """Return the greatest e-value seen."""
        return math.exp(min(self.peak, 27.6))
