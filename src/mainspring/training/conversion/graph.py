"""Writing an ONNX graph node by node, in double precision, one input tensor ``(n, 1)`` a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Column, Signature

OPSET = 19  # the first in which texts can be compared
ML_OPSET = 4
IR_VERSION = 9
OUTPUT = "output"
NOT_PLAIN = frozenset({"Loop", "If", "Scan"})
PLAIN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})


class CannotConvert(MainspringError):
    """This estimator has no ONNX build that answers the same; it runs in a model process."""

    code = "cannot_convert"


class Origin(NamedTuple):
    """Where a number comes from: it is ``factor`` times an input, plus ``shift``, unless that is missing."""

    input: str
    factor: float = 1.0
    shift: float = 0.0


class Tensor:
    """A named tensor ``(n, width)`` of strings or doubles in a graph that is being written.

    ``origins`` has one entry a column; None where it is not an input moved and stretched.
    """

    __slots__ = ("name", "origins", "text", "width")

    def __init__(
        self, name: str, width: int = 1, *, text: bool = False, origins: Sequence[Origin | None] | None = None
    ) -> None:
        self.name = name
        self.width = width
        self.text = text
        self.origins = tuple(origins) if origins is not None else (None,) * width

    def moved(self, name: str, factor: Sequence[float], shift: Sequence[float]) -> Tensor:
        """Return the tensor ``name`` that is this one times ``factor`` plus ``shift``, column by column."""
        origins = [
            None if one is None else Origin(one.input, one.factor * by, one.shift * by + more)
            for one, by, more in zip(self.origins, factor, shift, strict=True)
        ]
        return Tensor(name, self.width, origins=origins)


class GraphWriter:
    """Collects nodes and constants; names are counted, so the same model gives the same bytes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self.splits: dict[str, list[float]] = {}

    def add(self, op: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, values: np.typing.NDArray[Any]) -> str:
        """Store an array in the graph and return its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def joined(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return tensors of one kind side by side."""
        if len(tensors) == 1:
            return tensors[0]
        if len({tensor.text for tensor in tensors}) > 1:
            raise CannotConvert("text and numbers stand side by side in one array")
        name = self.add("Concat", [tensor.name for tensor in tensors], axis=1)
        origins = [one for tensor in tensors for one in tensor.origins]
        return Tensor(name, sum(tensor.width for tensor in tensors), text=tensors[0].text, origins=origins)

    def row(self, values: Any) -> str:
        """Store one row of doubles ``(1, k)`` and return its name."""
        return self.constant(np.asarray(values, dtype=np.float64).reshape(1, -1))

    def number(self, value: float) -> str:
        """Store one double ``(1, 1)`` and return its name."""
        return self.row([value])

    def taken(self, tensor: Tensor, places: Sequence[int]) -> Tensor:
        """Return some columns of a tensor, in this order."""
        if list(places) == list(range(tensor.width)):
            return tensor
        name = self.add("Gather", [tensor.name, self.constant(np.asarray(places, dtype=np.int64))], axis=1)
        return Tensor(name, len(places), text=tensor.text, origins=[tensor.origins[place] for place in places])

    def note(self, tensor: Tensor, thresholds: Mapping[int, Sequence[float]]) -> None:
        """Remember at which values of the inputs trees split the columns of a tensor."""
        for place, values in thresholds.items():
            origin = tensor.origins[place]
            if origin is not None and origin.factor:
                found = self.splits.setdefault(origin.input, [])
                found += [(value - origin.shift) / origin.factor for value in values]

    def finish(self, inputs: Sequence[Column], answer: str, width: int = 1) -> bytes:
        """Return the model's bytes; ``answer`` is a double tensor ``(n, width)`` that becomes the only output."""
        self._nodes.append(helper.make_node("Cast", [answer], [OUTPUT], to=TensorProto.FLOAT))
        graph = helper.make_graph(
            self._nodes,
            "mainspring",
            [helper.make_tensor_value_info(column.name, _type(column), [None, 1]) for column in inputs],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, width])],
            initializer=self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mainspring")
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def input_tensors(signature: Signature) -> dict[str, Tensor]:
    """Return the graph's inputs by column; times have no ONNX kind here."""
    for column in signature.inputs:
        if column.kind == "time":
            raise CannotConvert("a time cannot be the input of a graph", field=column.name)
    return {
        column.name: Tensor(column.name, text=column.kind == "str", origins=[Origin(column.name)])
        for column in signature.inputs
    }


def is_plain(model: bytes) -> bool:
    """Say whether a graph holds only standard operators without loops or branches, so that the gateway may run it."""
    loaded = onnx.load_model_from_string(model)
    if loaded.functions or any(opset.domain not in PLAIN_DOMAINS for opset in loaded.opset_import):
        return False
    return all(
        node.op_type not in NOT_PLAIN
        and node.domain in PLAIN_DOMAINS
        and not any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        for node in loaded.graph.node
    )


def _type(column: Column) -> int:
    return int(TensorProto.STRING if column.kind == "str" else TensorProto.DOUBLE)
