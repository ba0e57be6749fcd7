"""Rows that are scored together: only where that is, to the last bit, what each is alone."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from onnx import TensorProto, helper

from mainspring.adapters.runtimes.onnx import FEW, OnnxRuntime
from mainspring.kernel.schema import Column, Signature
from mainspring.testing.models import linear_onnx

SIGNATURE = Signature("binary", (Column("distance", "float"), Column("hour", "int"), Column("carrier", "str")))


def bits(values: list[float]) -> bytes:
    return struct.pack(f"{len(values)}d", *values)


def rows(count: int) -> list[tuple[object, ...]]:
    drawn = np.random.default_rng(7).normal(0.0, 1_000.0, count)
    return [(float(value), at % 24, ["UA", "DL", ""][at % 3]) for at, value in enumerate(drawn)]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 31, FEW])
def test_a_few_rows_are_answered_as_each_is_alone(count: int) -> None:
    runtime = OnnxRuntime(
        linear_onnx({"distance": 1e-4, "hour": 0.01}, texts={"carrier": {"UA": 0.3, "DL": -0.7}}), SIGNATURE
    )
    assert runtime.together
    asked = rows(count)
    assert bits(runtime.few(asked)) == bits([runtime.one(row) for row in asked])
    assert bits(runtime.few(asked)) == bits(runtime.run(asked))


def test_missing_numbers_among_the_few_are_missing_for_their_row_alone() -> None:
    signature = Signature("binary", (Column("distance", "float", True), Column("hour", "float", True)))
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["output"], keepdims=1)],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, 2])],
        [helper.make_tensor_value_info("output", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString()
    runtime = OnnxRuntime(made, signature)
    first, second, third = runtime.few([(1.0, 2.0), (None, 2.0), (3.0, 4.0)])
    assert (first, third) == (3.0, 7.0)
    assert np.isnan(second)
    assert runtime.few([(5.0, 6.0)]) == [11.0]


def test_a_graph_whose_rows_know_of_each_other_is_asked_row_by_row() -> None:
    mean = helper.make_node("ReduceMean", ["distance", "axes"], ["mean"], keepdims=1)
    less = helper.make_node("Sub", ["distance", "mean"], ["output"])
    graph = helper.make_graph(
        [mean, less],
        "centred",
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [0])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString()
    runtime = OnnxRuntime(made, Signature("regression", (Column("distance", "float"),)))
    assert not runtime.together
