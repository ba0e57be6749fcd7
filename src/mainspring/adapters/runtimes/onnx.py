"""ONNX Runtime with one thread: graphs that take one input per column, or one tensor with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from mainspring.kernel.errors import Damaged, InvalidInput
from mainspring.kernel.schema import Signature
from mainspring.serving.ports import Row

_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}


class OnnxRuntime:
    """One graph. The answer is the last column of its last output."""

    def __init__(self, model: bytes, signature: Signature) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen unrelated classes for a bad graph
            raise Damaged("the ONNX graph cannot be loaded", value=str(error)[:200]) from error
        self._output = [self._session.get_outputs()[-1].name]
        self._feed = _feed_builder(self._session.get_inputs(), signature)

    def run(self, rows: Sequence[Row]) -> list[float]:
        answer = self._session.run(self._output, self._feed(rows))[0]
        last = answer.reshape(len(rows), -1)[:, -1]
        values: list[float] = last.tolist()
        return values


def _feed_builder(inputs: Sequence[Any], signature: Signature) -> Callable[[Sequence[Row]], dict[str, Any]]:
    places = {column.name: place for place, column in enumerate(signature.inputs)}
    if len(inputs) == 1 and inputs[0].name not in places and len(inputs[0].shape) == 2:
        return _packed(inputs[0])
    plan = []
    for item in inputs:
        if item.name not in places:
            raise InvalidInput(
                "the graph has an input that the signature does not name", field=item.name, value=sorted(places)
            )
        plan.append((item.name, _TYPES.get(item.type, np.float32), places[item.name], len(item.shape) == 2))

    def feed(rows: Sequence[Row]) -> dict[str, Any]:
        columns = list(zip(*rows, strict=True))
        fed = {}
        for name, kind, place, tall in plan:
            array = _text(columns[place]) if kind is object else np.array(columns[place], dtype=kind)
            fed[name] = array.reshape(-1, 1) if tall else array
        return fed

    return feed


def _packed(item: Any) -> Callable[[Sequence[Row]], dict[str, Any]]:
    kind = _TYPES.get(item.type, np.float32)
    return lambda rows: {item.name: np.array(rows, dtype=kind)}


def _text(values: Sequence[Any]) -> Any:
    """A missing text is the empty one in a graph: ONNX has no missing string."""
    return np.array(["" if value is None else value for value in values], dtype=object)
