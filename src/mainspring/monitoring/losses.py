"""Bounded losses: what an answer costs once the outcome is known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Loss:
    """A loss in ``[0, bound]``. ``epsilon`` clips probabilities; errors are cut to ``bound``, and counted."""

    def __init__(self, metric: str, *, epsilon: float = 0.01, bound: float = 1.0) -> None:
        self.metric = metric
        self.epsilon = epsilon
        self.bound = {"log_loss": math.log((1 - epsilon) / epsilon), "brier": 1.0}.get(metric, bound)

    def __call__(self, outcome: Array, answer: Array) -> Array:
        """Return the loss of each row; log loss is clipped and less its minimum.

        >>> Loss("brier")(np.array([1.0, 0.0]), np.array([0.8, 0.5])).round(2).tolist()
        [0.04, 0.25]
        """
        if self.metric == "log_loss":
            clipped = np.clip(answer, self.epsilon, 1 - self.epsilon)
            right = np.where(outcome > 0.5, clipped, 1 - clipped)
            return np.asarray(-np.log(right) + math.log(1 - self.epsilon))
        error = np.square(answer - outcome) if self.metric in ("brier", "squared_error") else np.abs(answer - outcome)
        return np.asarray(np.minimum(error, self.bound))

    def winsorised(self, outcome: Array, answer: Array) -> int:
        """Return how many rows cost more than the bound and were cut to it."""
        if self.metric in ("log_loss", "brier"):
            return 0
        error = np.abs(answer - outcome)
        return int(np.sum((np.square(error) if self.metric == "squared_error" else error) > self.bound))


def roc_auc(outcome: Array, answer: Array) -> float | None:
    """Return the area under the ROC curve, or ``None`` where it does not exist (one class only).

    >>> roc_auc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9])), roc_auc(np.ones(3), np.ones(3))
    (0.75, None)
    """
    positives = outcome > 0.5
    n_positive = int(positives.sum())
    n_negative = len(outcome) - n_positive
    if n_positive == 0 or n_negative == 0:
        return None
    _, inverse, counts = np.unique(answer, return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(middle_ranks[inverse][positives].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
