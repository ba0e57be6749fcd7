from __future__ import annotations

import numpy as np

from mainspring.adapters.runtimes.onnx import OnnxRuntime
from mainspring.features.spec import Feature, ViewSpec
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.assemble import Assembly
from mainspring.serving.columnar import ColumnRows
from mainspring.serving.looked import Found, Looked, LookedRows
from mainspring.testing.models import linear_onnx

REQUESTED = (Column("id", "str"), Column("distance", "float"), Column("hour", "int"), Column("carrier", "str", True))
SIGNATURE = Signature(
    "binary",
    (Column("carrier", "str"), Column("wind", "float", True), Column("distance", "float"), Column("hour", "int")),
    REQUESTED,
    {"wind": "sky.wind"},
)
SKY = ViewSpec("sky", "weather", ("id",), (Feature("rain", "last", "rain"), Feature("wind", "last", "wind")), 10**12)
COUNT = 50


def test_rows_that_are_held_as_columns_are_answered_as_the_rows_are() -> None:
    numbers = {"distance": 0.01, "hour": 0.1, "wind": 0.2}
    runtime = OnnxRuntime(linear_onnx(numbers, texts={"carrier": {"UA": 0.5, "": -0.5}}), SIGNATURE)
    assembly = Assembly(SIGNATURE, REQUESTED, [SKY])
    seen = [Looked((None, 1.0), 1), Looked((2.0, -3.5), 2), Looked((True, 7), 3)]
    looked = LookedRows(COUNT, [Found(seen, [place % 3 for place in range(COUNT)])])
    rows = ColumnRows(
        COUNT,
        [
            [f"f{place}" for place in range(COUNT)], np.linspace(-100, 100, COUNT), np.arange(COUNT),
            ["UA" if place % 2 else None for place in range(COUNT)],
        ],
    )  # fmt: skip
    by_row = runtime.run([assembly.row(rows[place], looked[place]) for place in range(COUNT)])
    assert runtime.run_columns(assembly.columns(rows, looked), COUNT) == by_row
    some = [1, 5, 40]
    picked = runtime.run_columns(assembly.columns(rows.take(some), looked.take(some)), len(some))
    assert picked == [by_row[place] for place in some]
    assert len(set(by_row)) == COUNT


def test_a_feature_that_is_missing_is_missing_in_columns_too() -> None:
    runtime = OnnxRuntime(linear_onnx({"distance": 0.01, "hour": 0.1, "wind": 0.2}), SIGNATURE)
    assembly = Assembly(SIGNATURE, REQUESTED, [SKY])
    rows = ColumnRows(2, [["a", "b"], np.array([1.0, 2.0]), np.array([1, 2]), [None, None]])
    looked = LookedRows(2, [Found([Looked((None, None), None), Looked((None, 1.0), 1)], [0, 1])])
    first, second = runtime.run_columns(assembly.columns(rows, looked), 2)
    assert np.isnan(first)
    assert second == runtime.one(assembly.row(rows[1], looked[1]))
