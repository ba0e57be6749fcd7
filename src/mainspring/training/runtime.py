"""Running a graph that was just made inside a worker, and measuring how long one row takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
import polars as pl

from mainspring.kernel.schema import Signature
from mainspring.serving.packing import Filler, PackedGraph
from mainspring.training.usercode import Floats

_NUMBERS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


class OnnxScorer:
    """A graph with one input a column, run with one thread; it gives ``width`` numbers a row."""

    def __init__(self, model: bytes | str, width: int = 1) -> None:
        import onnxruntime

        self._width = width
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.types = {one.name: one.type for one in self._session.get_inputs()}

    def scores(self, inputs: pl.DataFrame) -> Floats:
        """Return one answer a row: the last columns of the last output."""
        answer = self._session.run(None, self.feed(inputs))[-1]
        wide = np.asarray(answer, dtype=np.float64).reshape(inputs.height, -1)
        return wide[:, -1] if self._width == 1 else wide[:, -self._width :]

    def feed(self, inputs: pl.DataFrame) -> dict[str, Any]:
        """Return the input arrays ``(n, 1)``; missing text is empty, missing numbers are NaN."""
        return {name: _array(inputs.get_column(name), kind).reshape(-1, 1) for name, kind in self.types.items()}

    def run(self, feed: dict[str, Any]) -> Any:
        return self._session.run(None, feed)


class PackedScorer(OnnxScorer):
    """A graph whose columns are packed into one tensor, fed as a gateway feeds it."""

    def __init__(self, packed: PackedGraph, signature: Signature) -> None:
        super().__init__(packed.graph, width_of(signature))
        self._packing = packed.packing
        self._filler = Filler(packed.packing, signature)
        self._names = [column.name for column in signature.inputs]

    def feed(self, inputs: pl.DataFrame) -> dict[str, Any]:
        columns = self._filler.columns([column.to_list() for column in inputs.select(self._names)])
        kind = np.float32 if self._packing.kind == "float" else np.float64
        return {self._packing.input: np.ascontiguousarray(np.array(columns, dtype=kind).T)}


def width_of(signature: Signature) -> int:
    """Return how many numbers a row an answer holds: one for each class, or one."""
    return len(signature.classes) if signature.task == "multiclass" else 1


def _array(column: pl.Series, kind: str) -> np.typing.NDArray[Any]:
    if kind == "tensor(string)":
        return column.cast(pl.String).fill_null("").to_numpy().astype(object)
    if kind == "tensor(bool)":
        return column.cast(pl.Boolean).fill_null(value=False).to_numpy()
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(_NUMBERS.get(kind, np.float32))


def p999_ms(answer: Callable[[], Any], budget_s: float = 0.4, most: int = 2_000) -> float | None:
    """Return the 99.9th percentile of single calls of ``answer`` in milliseconds; None if a call raises."""
    taken: list[int] = []
    try:
        answer()  # warms up
        end = perf_counter_ns() + int(budget_s * 1e9)
        while len(taken) < most and (perf_counter_ns() < end or len(taken) < 2):
            start = perf_counter_ns()
            answer()
            taken.append(perf_counter_ns() - start)
    except Exception:  # user code may refuse this very row: then there is nothing to measure
        return None
    return float(np.quantile(taken, 0.999)) / 1e6
