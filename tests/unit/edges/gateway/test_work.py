"""What is counted of records that wait for the log is what they hold."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.package import load_onnx
from mainspring.edges.gateway.drawing import _Opened
from mainspring.edges.gateway.engines import Local
from mainspring.edges.gateway.running import _Scores, run_here
from mainspring.edges.gateway.snapshot import Model
from mainspring.edges.gateway.work import Asked, Part, size_asked, size_scored
from mainspring.features.ports import FeatureRow
from mainspring.kernel.schema import Column, Signature
from mainspring.log.frame import encode_set
from mainspring.log.spool import SpoolWriter
from mainspring.serving.columnar import by_column
from mainspring.serving.decode import RowDecoder
from mainspring.serving.draw import assign_all
from mainspring.serving.looked import Found, LookedRows
from mainspring.serving.routing import Package, VersionRoute
from mainspring.testing.models import COLUMNS, linear_onnx, model_route, onnx_version, routing

DISTANCE = (Column("distance", "float"),)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolWriter]:
    made = SpoolWriter(tmp_path / "spool", "b_1", LocalDisk())
    yield made
    made.close()


def softmax(classes: int) -> bytes:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, classes], [0.001 * place for place in range(classes)])
    nodes = [helper.make_node("MatMul", ["distance", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"], axis=1)]
    given = helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])
    made = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, classes])
    graph = helper.make_graph(nodes, "softmax", [given], [made], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return bytes(model.SerializeToString())


def loaded(tmp_path: Path, classes: int) -> Model:
    blobs = FileBlobs(tmp_path / "blobs", LocalDisk())
    if classes:
        package = Package({"model.onnx": blobs.put(softmax(classes))}, "onnx", in_gateway=True)
        names = tuple(f"class {number}" for number in range(classes))
        version = VersionRoute("ver_1", 1, package, Signature("multiclass", DISTANCE, COLUMNS, classes=names))
    else:
        version = onnx_version(blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    route = model_route(version, outcome_kind="class" if classes else "bool")
    return Model(route, routing(1, route, [version]), {"ver_1": Local(load_onnx(version, blobs.get))}, None)


def looked_up(rows: int, features: int, distinct: int) -> Any:
    """Return what one view says of rows that share so many distinct features; a single row has its own."""
    said = [
        FeatureRow(tuple(float(one * 1_000 + at) for at in range(features)), 10**15 + one) for one in range(distinct)
    ]
    if rows == 1:
        return [tuple(said)] if features else [()]
    return LookedRows(rows, [Found(said, [row % distinct for row in range(rows)])] if features else [])


Held = tuple[list[Callable[[], Sequence[Any]]], int, int]


def waiting(spool: SpoolWriter, model: Model, number: int, rows: int, features: int, distinct: int) -> Held:
    """Do what a request does, and return what waits for the log, what is counted as held, and as written."""
    listed = [
        {"id": f"flight {number} {row}", "distance": 100.5 + row, "carrier": "UA" if row % 2 else "DL"}
        for row in range(rows)
    ]
    body = json.dumps(listed if rows > 1 else listed[0]).encode()
    decoded, _ = RowDecoder(COLUMNS).decode(body)
    asked = Asked(f"p-{number}", spool, model, 1, 10**15 + number, 0, 10**9, by_column(decoded))
    entities = tuple(str(row[0]) for row in decoded)
    drawn = assign_all(None, "ver_1", entities)
    opened = _Opened(asked, body, 10**15 + number, entities, entities, (), ("", ""), None, None, drawn, ())
    asked.looked = looked_up(rows, 0, 1)
    part = Part(asked, model.champion, "served", range(rows), "")
    ran = run_here(model.champion, asked, range(rows), 10**9)
    assert not ran.faults
    asked.looked = looked_up(rows, features, distinct)  # of a view that this version does not ask for
    one, two = size_asked(asked, len(body)), size_scored(part)
    return [opened.records, _Scores(part, ran).records], one.held + two.held, one.logged + two.logged


@pytest.mark.parametrize(
    ("rows", "classes", "features", "distinct", "requests"),
    [(1, 0, 0, 1, 2_000), (1, 0, 20, 1, 1_000), (1, 10, 3, 1, 1_000), (100, 0, 0, 1, 50), (1_000, 0, 8, 1_000, 5),
     (1_000, 0, 8, 10, 5), (50, 1_000, 0, 1, 5)],
)  # fmt: skip
def test_what_waits_holds_about_what_is_counted(
    tmp_path: Path, spool: SpoolWriter, rows: int, classes: int, features: int, distinct: int, requests: int
) -> None:
    model = loaded(tmp_path, classes)
    waiting(spool, model, 0, rows, features, distinct)  # what is made once is no request's
    tracemalloc.start()
    try:
        held = [waiting(spool, model, number, rows, features, distinct) for number in range(1, requests + 1)]
        actual_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted_bytes = sum(one[1] for one in held)
    assert 0.5 < actual_bytes / counted_bytes < 1.15


def test_answers_of_a_thousand_rows_and_a_thousand_classes_are_counted_as_the_megabytes_that_they_are(
    tmp_path: Path, spool: SpoolWriter
) -> None:
    model = loaded(tmp_path, 1_000)
    made, held_bytes, logged_bytes = waiting(spool, model, 1, 1_000, 0, 1)
    assert held_bytes > 32_000_000
    written = sum(len(encode_set(make())) for make in made)
    assert 0.8 < written / logged_bytes < 1.1
