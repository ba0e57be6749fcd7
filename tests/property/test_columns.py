"""Many rows are answered by column; whatever that changes inside, each row is drawn, fed and logged as if alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.runtimes.onnx import OnnxRuntime
from mainspring.features.spec import Feature, ViewSpec
from mainspring.kernel.schema import Column, Signature
from mainspring.log.records import Scored, ScoredRows
from mainspring.log.rows import rows_of
from mainspring.serving.assemble import Assembly, distinct_json, features_json
from mainspring.serving.columnar import ColumnRows, by_column
from mainspring.serving.draw import assign, assign_all
from mainspring.serving.looked import Found, Looked, LookedRows
from mainspring.serving.packing import Filler, PackedColumn, Packing
from mainspring.serving.routing import ArmRoute, HoldoutRoute, ReleaseRoute
from mainspring.testing.models import linear_onnx

shares = st.sampled_from([0.0, 0.05, 0.5, 1.0])
releases = st.none() | st.builds(
    lambda share, others: ReleaseRoute("rel_1", 1, "salt", "b", share, others=others),
    shares,
    st.sampled_from([(), (ArmRoute("c", 0.25), ArmRoute("d", 0.125))]),
)
holdouts = st.none() | st.builds(lambda share: HoldoutRoute(share, "kept"), shares)
units = st.lists(st.text(max_size=8), max_size=40)


@given(releases, holdouts, units, st.sets(st.sampled_from("bcd")), st.booleans())
def test_units_are_drawn_together_as_each_is_alone(
    release: Any, holdout: Any, units: list[str], out: set[str], per_request: bool
) -> None:
    keys = [f"key-{place}" for place in range(len(units))] if per_request else None
    drawn = assign_all(release, "a", units, keys=keys, holdout=holdout, out=out)
    assert list(drawn) == [
        assign(release, "a", unit, key=keys[place] if keys else None, holdout=holdout, out=out)
        for place, unit in enumerate(units)
    ]


SKY = ViewSpec("sky", "weather", ("id",), (Feature("rain", "last", "rain"), Feature("wind", "last", "wind")), 10**12)
BUSY = ViewSpec('bu"sy', "flights", ("id",), (Feature("open", "last", "open"), Feature("kind", "last", "kind")), 10**12)
ASKED = (
    Column("id", "str"), Column("distance", "float", True), Column("hour", "int"), Column("night", "bool"),
    Column("carrier", "str", True),
)  # fmt: skip
SIGNATURE = Signature(
    "binary",
    (
        Column("carrier", "str"), Column("wind", "float", True), Column("distance", "float", True),
        Column("kind", "str", True), Column("hour", "int"), Column("night", "bool"),
    ),
    ASKED,
    {"wind": "sky.wind", "kind": "bu\"sy.kind"},
)  # fmt: skip
numbers = st.none() | st.floats(-1e6, 1e6)
carriers = st.sampled_from(["UA", "AA", "", "unseen", "Ü", None])
rows_asked = st.lists(
    st.tuples(st.text(max_size=3), numbers, st.integers(-(2**53), 2**53), st.booleans(), carriers),
    min_size=2,
    max_size=30,
)
known = st.none() | st.integers(0, 2**50)
skies = st.lists(st.builds(Looked, st.tuples(numbers, numbers | st.integers(-9, 9)), known), min_size=1, max_size=4)
busies = st.lists(st.builds(Looked, st.tuples(st.booleans() | st.none(), carriers), known), min_size=1, max_size=4)


@st.composite
def asked_and_looked(draw: Any) -> tuple[ColumnRows, LookedRows]:
    rows = draw(rows_asked)
    found = [
        Found(distinct, draw(st.lists(st.integers(0, len(distinct) - 1), min_size=len(rows), max_size=len(rows))))
        for distinct in (draw(skies), draw(busies))
    ]
    return by_column(rows), LookedRows(len(rows), found)


TEXTS = {"carrier": {"UA": 0.5, "": -0.25}, "kind": {"AA": 2.0, "Ü": 1.0}}
GRAPH = OnnxRuntime(linear_onnx({"distance": 1e-6, "hour": 1e-16, "wind": 1e-6}, texts=TEXTS), SIGNATURE)
FILLER = Filler(
    Packing(
        "x", "double",
        (PackedColumn("hour"), PackedColumn("kind", {"AA": 2.0}, -1.0), PackedColumn("wind"),
         PackedColumn("carrier", {"UA": 1.0, "": None}, None), PackedColumn("distance")),
    ),
    SIGNATURE,
)  # fmt: skip


@given(asked_and_looked())
def test_rows_are_fed_by_column_as_they_are_one_by_one(given: tuple[ColumnRows, LookedRows]) -> None:
    rows, looked = given
    assembly = Assembly(SIGNATURE, ASKED, [SKY, BUSY])
    alone = [assembly.row(rows[place], looked[place]) for place in range(len(rows))]
    columns = assembly.columns(rows, looked)
    together = GRAPH.run_columns(columns, len(rows))
    assert np.array_equal(together, [GRAPH.one(row) for row in alone], equal_nan=True)
    packed = np.array(FILLER.columns(columns), dtype=np.float64).T
    assert np.array_equal(packed, np.array([FILLER.row(row) for row in alone], dtype=np.float64), equal_nan=True)
    assert [tuple(plain(column)[place] for column in columns) for place in range(len(rows))] == alone


def plain(column: Any) -> Any:
    return ColumnRows(len(column), [column]).column(0)


@given(asked_and_looked(), st.data())
def test_some_of_the_rows_are_the_rows_that_they_were(given: tuple[ColumnRows, LookedRows], data: Any) -> None:
    rows, looked = given
    some = data.draw(st.sets(st.integers(0, len(rows) - 1)).map(sorted))
    assert list(rows.take(some)) == [rows[place] for place in some]
    assert list(looked.take(some)) == [looked[place] for place in some]
    assert list(looked.pick([1])) == [(seen[1],) for seen in looked]


@given(asked_and_looked())
def test_features_are_in_the_log_as_if_each_row_had_been_looked_up_alone(given: tuple[ColumnRows, LookedRows]) -> None:
    _, looked = given
    views = [(SKY, "d1"), (BUSY, "d2")]
    features, seen = distinct_json(views, looked)
    many = len(looked)
    told = ("p", "m", "v", "served", "ok", 1, tuple(range(many)), (0.5,) * many)
    record = ScoredRows(*told, features, 9, 5, seen=seen)
    alone = Scored(*told, features_json(views, list(looked)), 9, 5)
    assert rows_of([record]).frames["scored"].equals(rows_of([alone]).frames["scored"])


def test_rows_of_a_version_without_features_saw_none() -> None:
    features, seen = distinct_json([], LookedRows(2, []))
    record = ScoredRows("p", "m", "v", "served", "ok", 1, (0, 1), (0.5, 0.5), features, 9, 5, seen=seen)
    assert rows_of([record]).frames["scored"]["features"].to_list() == ["{}", "{}"]
