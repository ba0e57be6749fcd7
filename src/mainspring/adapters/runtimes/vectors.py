"""From arrays of probabilities to a ``Vector`` a row. Needs NumPy alone, for environments of a version's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.values import Vector
from mainspring.training.answers import no_probabilities


def vectors(answer: Any, shape: tuple[int, int]) -> list[float]:
    """Return probabilities ``shape`` as a ``Vector`` a row; what is no probability stands for nothing, so it is NaN."""
    numbers = np.asarray(answer, dtype=np.float64)
    if numbers.shape != shape:
        what = f"the model answered numbers of shape {numbers.shape} for {shape[0]} rows of {shape[1]} classes"
        raise WorkerFailed(what, field="model")
    standing = np.where(no_probabilities(numbers), np.nan, numbers.max(axis=1))
    return [Vector(value, row) for value, row in zip(standing.tolist(), numbers.tolist(), strict=True)]
