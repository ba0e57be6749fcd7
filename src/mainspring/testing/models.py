"""Tiny models: graphs and rules small enough to be read, and the routing that serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from mainspring.kernel.schema import Column, Signature, Task
from mainspring.log.ports import Blobs
from mainspring.serving.routing import ModelRoute, Package, Routing, VersionRoute

COLUMNS = (Column("id", "str"), Column("distance", "float"), Column("carrier", "str"))


def linear_onnx(
    weights: Mapping[str, float], bias: float = 0.0, texts: Mapping[str, Mapping[str, float]] | None = None
) -> bytes:
    """Return a graph that answers ``logistic(bias + Σ weight · column + Σ text's value)``, one input a column."""
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    terms = []
    inputs = []
    for name, weight in weights.items():
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))
        nodes.append(helper.make_node("Constant", [], [f"w_{name}"], value_float=float(weight)))
        nodes.append(helper.make_node("Mul", [name, f"w_{name}"], [f"t_{name}"]))
        terms.append(f"t_{name}")
    for name, values in (texts or {}).items():
        inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, [None, 1]))
        table: dict[str, Any] = {
            "keys_strings": list(values),
            "values_floats": list(values.values()),
            "default_float": 0.0,
        }
        nodes.append(helper.make_node("LabelEncoder", [name], [f"t_{name}"], domain="ai.onnx.ml", **table))
        terms.append(f"t_{name}")
    nodes.append(helper.make_node("Constant", [], ["bias"], value_float=float(bias)))
    nodes.append(helper.make_node("Sum", [*terms, "bias"], ["z"]))
    nodes.append(helper.make_node("Sigmoid", ["z"], ["output"]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "tiny", inputs, [output])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    body: bytes = model.SerializeToString()
    return body


def onnx_version(
    blobs: Blobs, id: str, number: int, graph: bytes, inputs: Sequence[Column], *,
    in_gateway: bool = True, views: tuple[str, ...] = (), features: dict[str, str] | None = None,
    threshold: float | None = None, task: Task = "binary",
) -> VersionRoute:  # fmt: skip
    """Store a graph and return the version that runs it."""
    package = Package({"model.onnx": blobs.put(graph)}, "onnx", in_gateway)
    signature = Signature(task, tuple(inputs), COLUMNS, features or {})
    return VersionRoute(id, number, package, signature, views, threshold)


def rule_version(
    blobs: Blobs, id: str, number: int, code: str, inputs: Sequence[Column], *,
    function: str = "rules:answer", frame: Literal["pandas", "polars"] = "polars", params: dict[str, Any] | None = None,
) -> VersionRoute:  # fmt: skip
    """Store a rule's module ``rules.py`` and return the version that runs it in a process of its own."""
    rule = msgspec.json.encode({"function": function, "params": params or {}, "frame": frame})
    files = {"rule.json": blobs.put(rule), "code/rules.py": blobs.put(code.encode())}
    return VersionRoute(id, number, Package(files, "rule"), Signature("binary", tuple(inputs), COLUMNS))


def model_route(champion: VersionRoute, **changes: Any) -> ModelRoute:
    """Return the route of a model ``late`` of project ``flights``; ``changes`` replace its fields."""
    route = ModelRoute(
        project="prj_1", project_name="flights", model="mdl_1", name="late", entity="id", unit="id", subject=None,
        columns=COLUMNS, champion=champion.id, outcome_kind="bool",
    )  # fmt: skip
    return msgspec.structs.replace(route, **changes)


def routing(generation: int, model: ModelRoute, versions: Sequence[VersionRoute], **changes: Any) -> Routing:
    """Return a snapshot with one model."""
    plain = Routing(generation, written_us=0, models=(model,), versions=tuple(versions))
    return msgspec.structs.replace(plain, **changes)
