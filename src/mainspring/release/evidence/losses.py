"""Bounded losses: what a metric charges for one answer. Less its own minimum, so that it lies in [0, bound]."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.eprocess import Floats

Metric = Literal["log_loss", "brier", "error", "absolute_error", "squared_error", "reward"]
CLASSIFYING = ("log_loss", "brier", "error")
WIDEST = 1e100  # what squares of can still be added up; nothing that is measured lies beyond


class Loss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric with its bound fixed. ``epsilon`` clips log loss; ``threshold`` turns a probability into a decision.

    A reward's loss is what it is short of ``best``, whatever was answered. Without a ``bound`` nothing is cut, and what
    is told of the metric's mean is asymptotic; a reward's loss then is the reward with its sign turned.
    """

    metric: Metric
    bound: float | None
    epsilon: float = 0.01
    threshold: float = 0.5
    best: float = 0.0

    def of(self, outputs: Floats, outcomes: Floats) -> tuple[Floats, int]:
        """Return the losses (n,) and how many were above the bound and cut to it."""
        losses = self._raw(outputs, outcomes)
        return self.cut(losses), int(self._outside(losses).sum())

    def cut(self, losses: Floats) -> Floats:
        """Return losses (n,) within the bound."""
        low, high = self._span()
        return np.clip(losses, low, high)

    def worth(self, losses: Floats) -> Floats:
        """Return what losses (n,) have earned: a part of the most that can be, where there is a bound."""
        return -losses if self.bound is None else 1.0 - losses / self.bound

    def beyond(self, outputs: Floats, outcomes: Floats) -> NDArray[np.bool_]:
        """Tell which losses (n,) lie beyond the bound."""
        return self._outside(self._raw(outputs, outcomes))

    def _outside(self, losses: Floats) -> NDArray[np.bool_]:
        low, high = self._span()
        return np.asarray((losses > high + 1e-12) | (losses < low - 1e-12))

    def _span(self) -> tuple[float, float]:
        return (-WIDEST, WIDEST) if self.bound is None else (0.0, self.bound)

    def expected(self, outputs: Floats, probability: Floats) -> Floats:
        """Return the loss expected (n,) if the outcome is 1 with ``probability``."""
        ones, zeros = np.ones_like(outputs), np.zeros_like(outputs)
        return probability * self.of(outputs, ones)[0] + (1.0 - probability) * self.of(outputs, zeros)[0]

    def _raw(self, outputs: Floats, outcomes: Floats) -> Floats:
        if self.metric == "log_loss":
            clipped = np.clip(outputs, self.epsilon, 1.0 - self.epsilon)
            paid = -(outcomes * np.log(clipped) + (1.0 - outcomes) * np.log1p(-clipped))
            return np.asarray(paid + math.log1p(-self.epsilon))
        if self.metric == "reward":
            return self.best - outcomes
        if self.metric == "error":
            decided: NDArray[np.bool_] = outputs >= self.threshold
            return np.asarray(decided != (outcomes > 0.5), dtype=np.float64)
        if self.metric == "absolute_error":
            return np.asarray(np.abs(outputs - outcomes))
        with np.errstate(over="ignore"):
            return np.asarray(np.square(outputs - outcomes))


def rewarding(low: float | None, high: float | None) -> Loss:
    """Return the loss of a reward between ``low`` and ``high``: what it is short of ``high``; without bounds, of 0.

    >>> losses, beyond = rewarding(0.0, 10.0).of(np.array([0.5, 0.5]), np.array([4.0, 12.0]))
    >>> losses.tolist(), beyond
    ([6.0, 0.0], 1)
    """
    return Loss("reward", None) if low is None or high is None else Loss("reward", high - low, best=high)


def loss(metric: Metric, *, bound: float | None = None, base_rate: float | None = None, threshold: float = 0.5) -> Loss:
    """Fix a metric's bound: log loss is clipped at min(.01, base rate/10), errors of estimates have the declared one.

    >>> round(loss("log_loss").bound, 3)
    4.595
    """
    if metric == "log_loss":
        rarer = None if base_rate is None else min(base_rate, 1.0 - base_rate)
        epsilon = min(0.01, rarer / 10.0) if rarer else 0.01
        return Loss(metric, math.log((1.0 - epsilon) / epsilon), epsilon)
    if metric in CLASSIFYING:
        return Loss(metric, 1.0, threshold=threshold)
    return Loss(metric, bound)
