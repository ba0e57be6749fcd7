"""Writing an ONNX graph node by node, in double precision, one input tensor ``(n, 1)`` a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class Tensor:
    """A named tensor ``(n, width)`` of strings or doubles in a graph that is being written."""

    __slots__ = ("name", "text", "width")

    def __init__(self, name: str, width: int = 1, *, text: bool = False) -> None:
        self.name = name
        self.width = width
        self.text = text


class GraphWriter:
    """Collects nodes and constants; names are counted, so the same model gives the same bytes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

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
        return Tensor(name, sum(tensor.width for tensor in tensors), text=tensors[0].text)

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
    return {column.name: Tensor(column.name, text=column.kind == "str") for column in signature.inputs}


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
