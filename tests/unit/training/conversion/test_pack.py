from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from mainspring.adapters.runtimes.onnx import OnnxRuntime
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.packing import read_packing
from mainspring.testing.models import linear_onnx
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.pack import CannotPack, pack
from mainspring.training.conversion.parity import edge_rows
from mainspring.training.inputs import to_pandas

INPUTS = (
    Column("carrier", "str", nullable=True),
    Column("dest", "str"),
    Column("temp", "float", nullable=True),
    Column("hour", "int"),
)
BINARY = Signature(task="binary", inputs=INPUTS)
REGRESSION = Signature(task="regression", inputs=INPUTS)
TEXT, NUMBERS = ["carrier", "dest"], ["temp", "hour"]


def rows(count: int = 800) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    temp = rng.normal(size=count)
    return pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "UA", None], count).tolist(),
            "dest": rng.choice(list("abcdef"), count).tolist(),
            "temp": [None if rng.random() < 0.1 else value for value in temp.tolist()],
            "hour": rng.integers(0, 24, count).tolist(),
        },
        schema={"carrier": pl.String, "dest": pl.String, "temp": pl.Float64, "hour": pl.Int64},
    )


def ordinal(**options: Any) -> OrdinalEncoder:
    return OrdinalEncoder(**{"handle_unknown": "use_encoded_value", "unknown_value": -1, **options})


def columns(text: Any, numbers: Any = "passthrough") -> ColumnTransformer:
    return ColumnTransformer([("text", text, TEXT), ("numbers", numbers, NUMBERS)])


FEW = {"max_iter": 10, "early_stopping": False, "random_state": 0}
ESTIMATORS: dict[str, tuple[Any, Signature, list[str]]] = {
    "trees on codes": (
        make_pipeline(columns(ordinal()), HistGradientBoostingClassifier(**FEW)),
        BINARY,
        ["TreeEnsembleRegressor", "Cast", "Sigmoid", "Cast"],
    ),
    "trees where unknown is missing": (
        make_pipeline(columns(ordinal(unknown_value=np.nan)), HistGradientBoostingRegressor(**FEW)),
        REGRESSION,
        ["TreeEnsembleRegressor", "Cast", "Cast"],
    ),
    "trees on codes of texts that are filled in": (
        make_pipeline(
            columns(make_pipeline(SimpleImputer(strategy="most_frequent"), ordinal())),
            HistGradientBoostingClassifier(**FEW),
        ),
        BINARY,
        ["TreeEnsembleRegressor", "Cast", "Sigmoid", "Cast"],
    ),
    "a linear model on one-hot": (
        make_pipeline(
            columns(OneHotEncoder(handle_unknown="ignore"), make_pipeline(SimpleImputer(), StandardScaler())),
            LogisticRegression(),
        ),
        BINARY,
        [],
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_packed_graph_answers_the_same_bytes_on_ordinary_and_edge_rows(name: str) -> None:
    estimator, signature, nodes = ESTIMATORS[name]
    frame = rows()
    estimator.fit(to_pandas(frame), (frame["hour"].to_numpy() + frame["temp"].fill_null(0.0).to_numpy() > 12) * 1.0)
    graph = to_onnx(estimator, signature)

    packed = pack(graph)

    plain = OnnxRuntime(graph, signature)
    packing = read_packing(msgspec.json.encode(packed.packing))
    fast = OnnxRuntime(packed.graph, signature, packing)
    asked = pl.concat([frame.head(200), edge_rows(frame, signature, splits(estimator, signature))]).rows()
    expected = plain.run(asked)
    assert fast.run(asked) == expected
    assert [fast.one(row) for row in asked] == expected
    assert [plain.one(row) for row in asked] == expected
    model = onnx.load_model_from_string(packed.graph)
    assert len(model.graph.input) == 1
    assert not nodes or [node.op_type for node in model.graph.node] == nodes
    assert pack(graph).graph == packed.graph


def test_texts_become_their_codes_and_numbers_stay() -> None:
    graph = linear_onnx({"distance": 0.5}, texts={"carrier": {"UA": 0.25, "DL": -1.0}})

    packing = pack(graph).packing

    assert packing.kind == "float"
    assert {column.name: (column.codes, column.otherwise) for column in packing.columns} == {
        "distance": (None, None),
        "carrier": ({"UA": 0.25, "DL": -1.0}, 0.0),
    }


def test_a_packing_says_which_column_the_trees_ask_for_most() -> None:
    frame = rows()
    estimator = make_pipeline(columns(ordinal()), HistGradientBoostingClassifier(**FEW))
    estimator.fit(to_pandas(frame), frame["temp"].fill_null(0.0).to_numpy() > 0.5)

    packing = pack(to_onnx(estimator, BINARY)).packing

    assert packing.columns[packing.busiest].name == "temp"
    assert pack(linear_onnx({"distance": 0.5})).packing.busiest is None


def test_single_precision_is_kept_where_nothing_is_lost() -> None:
    frame = rows()
    estimator = make_pipeline(columns(ordinal()), HistGradientBoostingClassifier(**FEW))
    estimator.fit(to_pandas(frame), frame["hour"].to_numpy() > 12)

    assert pack(to_onnx(estimator, BINARY)).packing.kind == "double"


@pytest.mark.parametrize(
    ("nodes", "kinds", "why"),
    [
        ([("StringNormalizer", ["x"], "t", {"case_change_action": "LOWER"})], [TensorProto.STRING], "a text is used"),
        ([("Identity", ["x"], "t", {})], [TensorProto.INT64], "whole numbers"),
        ([("Identity", ["x"], "t", {})], [TensorProto.FLOAT], "the answer is an input as it is"),
    ],
)
def test_what_a_tensor_of_floats_cannot_hold_stays_one_input_a_column(nodes: Any, kinds: Any, why: str) -> None:
    made = [helper.make_node(op, given, [out], **more) for op, given, out, more in nodes]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", kind, [None, 1]) for kind in kinds],
        [helper.make_tensor_value_info("t", kinds[0], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    with pytest.raises(CannotPack, match=why):
        pack(model.SerializeToString())


def test_a_missing_number_and_a_value_too_great_for_single_precision_are_fed_alike() -> None:
    signature = Signature("regression", (Column("x", "float", nullable=True), Column("y", "float")))
    graph = linear_onnx({"x": 1.0, "y": 1e-30})
    packed = pack(graph)
    plain, fast = OnnxRuntime(graph, signature), OnnxRuntime(packed.graph, signature, packed.packing)

    with np.errstate(over="ignore"):
        for row in [(None, 1.0), (1e300, 1.0), (-1e300, 2.0), (1e-320, 3.0), (0.1, 1e30)]:
            answers = [plain.one(row), fast.one(row), *plain.run([row]), *fast.run([row])]
            assert len({math.isnan(one) or one for one in answers}) == 1
    assert fast.one((1.0, 0.0)) == plain.run([(1.0, 0.0)])[0]
