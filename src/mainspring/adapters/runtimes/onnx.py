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
    unknown = [item.name for item in inputs if item.name not in places]
    if unknown:
        raise InvalidInput("is an input of the graph but not of the signature", field=unknown[0], value=sorted(places))
    blocks: dict[Any, list[Any]] = {}
    for item in inputs:
        blocks.setdefault((_TYPES.get(item.type, np.float32), len(item.shape) == 2), []).append(item.name)
    plan = [(kind, tall, names, [places[name] for name in names]) for (kind, tall), names in blocks.items()]

    def feed(rows: Sequence[Row]) -> dict[str, Any]:
        """Build one array a type; the inputs are its slices, which costs a third of an array for each."""
        columns = list(zip(*rows, strict=True))
        fed: dict[str, Any] = {}
        for kind, tall, names, wanted in plan:
            chosen = [columns[place] for place in wanted]
            block = _text(chosen) if kind is object else np.array(chosen, dtype=kind)
            fed.update(zip(names, block[:, :, np.newaxis] if tall else block, strict=True))
        return fed

    return feed


def _packed(item: Any) -> Callable[[Sequence[Row]], dict[str, Any]]:
    kind = _TYPES.get(item.type, np.float32)
    return lambda rows: {item.name: np.array(rows, dtype=kind)}


def _text(columns: Sequence[Sequence[Any]]) -> Any:
    """A missing text is the empty one in a graph: ONNX has no missing string."""
    return np.array([["" if value is None else value for value in column] for column in columns], dtype=object)
