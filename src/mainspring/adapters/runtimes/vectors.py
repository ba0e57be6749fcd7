"""Versions that give several numbers a row: a class's probability each. Every row's answer is a ``Vector``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mainspring.adapters.runtimes.onnx import OnnxRuntime
from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Signature
from mainspring.kernel.values import Vector
from mainspring.serving.packing import Packing
from mainspring.serving.ports import Columns, Row
from mainspring.training.answers import no_probabilities


def vectors(answer: Any, shape: tuple[int, int]) -> list[float]:
    """Return probabilities ``shape`` as a ``Vector`` a row; what is no probability stands for nothing, so it is NaN."""
    numbers = np.asarray(answer, dtype=np.float64)
    if numbers.shape != shape:
        what = f"the model answered numbers of shape {numbers.shape} for {shape[0]} rows of {shape[1]} classes"
        raise WorkerFailed(what, field="model")
    standing = np.where(no_probabilities(numbers), np.nan, numbers.max(axis=1))
    return [Vector(value, row) for value, row in zip(standing.tolist(), numbers.tolist(), strict=True)]


class VectorGraph(OnnxRuntime):
    """A graph whose last output is ``(n, k)``, in the order of the signature's classes."""

    def __init__(self, model: bytes, signature: Signature, packing: Packing | None = None) -> None:
        super().__init__(model, signature, packing)
        self._width = len(signature.classes)

    def run(self, rows: Sequence[Row]) -> list[float]:
        return self._vectors(self._feed.many(rows), len(rows))

    def run_columns(self, columns: Columns, count: int) -> list[float]:
        return self._vectors(self._feed.columns(columns), count)

    def one(self, row: Row) -> float:
        return self._vectors(self._feed.one(row), 1)[0]

    def _vectors(self, fed: dict[str, Any], count: int) -> list[float]:
        return vectors(self._run(self._output, fed, None)[0], (count, self._width))
