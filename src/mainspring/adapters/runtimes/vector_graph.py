"""Graphs that give several numbers a row: a class's probability each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.adapters.runtimes.onnx import OnnxRuntime
from mainspring.adapters.runtimes.vectors import vector, vectors
from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Signature
from mainspring.serving.packing import Packing
from mainspring.serving.ports import Columns, Row


class VectorGraph(OnnxRuntime):
    """A graph whose last output is ``(n, k)``, in the order of the signature's classes."""

    def __init__(self, model: bytes, signature: Signature, packing: Packing | None = None) -> None:
        self._width = len(signature.classes)
        super().__init__(model, signature, packing)

    def run(self, rows: Sequence[Row]) -> list[float]:
        return self._vectors(self._feed.many(rows), len(rows))

    def run_columns(self, columns: Columns, count: int) -> list[float]:
        return self._vectors(self._feed.columns(columns), count)

    def one(self, row: Row) -> float:
        numbers: list[float] = self._run(self._output, self._feed.one(row), None)[0].ravel().tolist()
        if len(numbers) != self._width:
            raise WorkerFailed(f"the model answered {len(numbers)} numbers for {self._width} classes", field="model")
        return vector(numbers)

    def few(self, rows: Sequence[Row]) -> list[float]:
        return self._vectors(self._feed.few(rows), len(rows))

    def _vectors(self, fed: dict[str, Any], count: int) -> list[float]:
        return vectors(self._run(self._output, fed, None)[0], (count, self._width))
