"""Answers of several classes from every kind of runtime, and what becomes of one that is no probability."""

import math

import msgspec
import numpy as np
import polars as pl
import pytest
from onnx import TensorProto, helper

from mainspring.adapters.runtimes.estimator import answers
from mainspring.adapters.runtimes.frames import Answer, answer
from mainspring.adapters.runtimes.scorer import Scorer
from mainspring.adapters.runtimes.vector_graph import VectorGraph
from mainspring.adapters.runtimes.vectors import vector, vectors
from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.kernel.values import Vector, from_plain, plain
from mainspring.serving.replay import same_bytes

SIGNATURE = Signature("multiclass", (Column("x", "float"),), classes=("a", "b", "c"))


@pytest.mark.parametrize(
    "numbers",
    [
        [0.2, math.nan, 0.8], [0.2, math.inf, 0.8], [-0.1, 0.3, 0.8], [0.2, 0.2, 0.2], [0.5, 0.5, 0.5],
        [1.2, -0.2, 0.0],
    ],
)  # fmt: skip
def test_numbers_that_are_no_probabilities_stand_for_nothing(numbers):
    (good, bad) = vectors([[0.2, 0.7, 0.1], numbers], (2, 3))
    assert (good, good.numbers) == (0.7, (0.2, 0.7, 0.1))
    assert math.isnan(bad)
    assert math.isnan(vector(numbers)), "and one row alone is looked at in the same way"
    assert same_bytes(vector([0.2, 0.7, 0.1]), good)
    assert not math.isfinite(sum([good, bad])), "whoever looks at the sum of a request's answers sees it"


def test_as_many_numbers_as_there_are_classes_are_demanded():
    with pytest.raises(WorkerFailed, match=r"numbers of shape \(1, 2\) for 1 rows of 3 classes"):
        vectors([[0.5, 0.5]], (1, 3))
    with pytest.raises(WorkerFailed, match=r"numbers of shape \(2,\) for 2 rows of 3 classes"):
        answers(np.array([0.5, 0.5]), SIGNATURE, 2)


def softmax_graph():
    """Return a graph that answers the softmax of (x, 2x, 3x)."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 3], [1.0, 2.0, 3.0])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["output"], axis=1)]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    made = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 3])
    graph = helper.make_graph(nodes, "softmax", [given], [made], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString()


def test_a_graph_answers_one_row_as_it_answers_many():
    graph = VectorGraph(softmax_graph(), SIGNATURE)
    many = graph.run([(0.0,), (1.0,)])
    columns = graph.run_columns([np.array([0.0, 1.0])], 2)
    one = graph.one((1.0,))
    assert many[0].numbers == pytest.approx((1 / 3,) * 3)
    assert same_bytes(many[1], one)
    assert same_bytes(columns[1], one)
    assert one == max(one.numbers)
    assert math.isnan(graph.one((math.nan,)))
    few = graph.few([(0.0,), (1.0,), (-2.5,)])
    assert [same_bytes(value, graph.one(row)) for value, row in zip(few, [(0.0,), (1.0,), (-2.5,)], strict=True)] == [
        True, True, True,
    ]  # fmt: skip


class Model:
    """Answers what it is told to."""

    def __init__(self, answer):
        self._answer = answer

    def run(self, rows):
        return vectors([self._answer] * len(rows), (len(rows), 3))


class Nobody:
    def begin(self):
        return

    def end(self):
        return


def test_a_row_with_one_class_that_is_not_a_number_is_invalid_in_a_model_process():
    found = Scorer(Model([0.2, math.nan, 0.8]), Nobody(), 1_000_000, "multiclass").score([(1.0,), (2.0,)])
    assert (found.values, found.faults) == ([None, None], {0: "invalid", 1: "invalid"})
    found = Scorer(Model([0.1, 0.1, 0.8]), Nobody(), 1_000_000, "multiclass").score([(1.0,)])
    assert (found.values[0].numbers, found.faults) == ((0.1, 0.1, 0.8), {})


def test_vectors_cross_the_socket_beside_rows_that_failed():
    sent = answer(7, [Vector(0.8, (0.1, 0.1, 0.8)), None], {1: "invalid"}, [5, 6])
    got = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Answer).whole()
    assert (got.number, got.faults, got.latencies_us) == (7, {1: "invalid"}, (5, 6))
    assert got.values[0].numbers == (0.1, 0.1, 0.8)
    assert got.values[1] is None


def test_one_number_a_row_is_sent_as_ever():
    assert answer(7, [0.5], {}, [5]) == Answer(7, (0.5,), {}, (5,))
    assert answer(7, [0.5], {}, [5]).vectors == ()


def test_what_is_plain_comes_back_and_a_vector_that_was_none_is_no_number():
    assert from_plain(plain(Vector(0.8, (0.2, 0.8)))).numbers == (0.2, 0.8)
    assert (from_plain(plain(0.5)), from_plain(plain(None))) == (0.5, None)
    assert math.isnan(from_plain(plain(Vector(math.nan, (0.2, 0.2)))))


def test_vectors_are_equal_to_the_byte_of_every_number():
    assert same_bytes(Vector(0.8, (0.2, 0.8)), Vector(0.8, (0.2, 0.8)))
    assert not same_bytes(Vector(0.8, (0.2, 0.8)), Vector(0.8, (0.20000000000000004, 0.8)))
    assert not same_bytes(Vector(0.8, (0.2, 0.8)), 0.8)
    assert not same_bytes(Vector(0.8, (0.2, 0.8)), None)


def test_a_rule_may_answer_a_frame_with_named_columns():
    (said,) = answers(pl.DataFrame({"c": [0.5], "a": [0.2], "b": [0.3]}), SIGNATURE, 1)
    assert said.numbers == (0.2, 0.3, 0.5)
