from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from mainspring.adapters.runtimes.package import load_onnx
from mainspring.kernel.schema import Column
from mainspring.log.records import Assignment, Request, Scored
from mainspring.serving import packing
from mainspring.serving.routing import ReleaseRoute, ShadowRoute
from mainspring.testing.models import COLUMNS, linear_onnx, model_route, onnx_version, routing, rule_version
from mainspring.training.conversion.pack import pack

DISTANCE = (Column("distance", "float"),)
ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
HALVES = "import polars as pl\ndef answer(frame, params):\n    return [0.5] * len(frame)\n"
RAISES = "def answer(frame, params):\n    raise ValueError('no')\n"
SLEEPS = "import time\ndef answer(frame, params):\n    time.sleep(0.6)\n    return [0.5] * len(frame)\n"


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def serve_one(site: Any, **changes: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    site.publish(routing(1, model_route(champion, **changes), [champion]))
    site.gateway()
    site.ready()


def test_an_object_is_answered_and_its_request_draw_and_answer_are_logged(site: Any) -> None:
    serve_one(site)
    status, said = site.predict(ROW)
    assert status == 200
    assert said["version"] == 1
    assert said["value"] == pytest.approx(logistic(1.0), abs=1e-6)
    site.wait(lambda: len(site.records()) == 3)
    request, assignment, scored = site.records()
    assert isinstance(request, Request)
    assert (request.prediction_id, request.entities, request.units) == (said["id"], ("f1",), ("f1",))
    assert isinstance(assignment, Assignment)
    assert (assignment.arms, assignment.propensities, assignment.release) == (("ver_1",), (1.0,), "")
    assert isinstance(scored, Scored)
    assert (scored.role, scored.status, scored.outputs) == ("served", "ok", (said["value"],))


def test_a_list_is_answered_row_by_row_and_the_policy_is_stated(site: Any) -> None:
    serve_one(site)
    status, said, headers = site.ask("/predict/late", [ROW, {**ROW, "id": "f2", "distance": -100}])
    assert status == 200
    assert [one["value"] for one in said["predictions"]] == pytest.approx([logistic(1.0), logistic(-1.0)], abs=1e-6)
    assert headers["x-mainspring-acknowledgement"] == "batched"


def test_drawn_rows_meet_the_challenger_and_the_others_the_champion(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    challenger = rule_version(site.blobs, "ver_2", 2, HALVES, DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_2", share=0.5)
    site.publish(routing(1, model_route(champion, release=release), [champion, challenger]))
    site.models()
    site.gateway()
    site.ready()
    rows = [{**ROW, "id": f"f{number}"} for number in range(200)]
    _, said = site.predict(rows)
    by_version = [one["version"] for one in said["predictions"]]
    assert 70 < by_version.count(2) < 130
    assert {one["value"] for one in said["predictions"] if one["version"] == 2} == {0.5}
    _, again = site.predict(rows)
    assert [one["version"] for one in again["predictions"]] == by_version


@pytest.mark.parametrize(("code", "status"), [(RAISES, "failed"), (SLEEPS, "late")])
def test_a_challenger_that_fails_or_is_late_never_reaches_a_caller(site: Any, code: str, status: str) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    challenger = rule_version(site.blobs, "ver_2", 2, code, DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_2", share=1.0)
    route = model_route(champion, release=release, deadline_ms=400)
    site.publish(routing(1, route, [champion, challenger]))
    site.models()
    site.gateway()
    site.ready()
    code_, said = site.predict(ROW)
    assert (code_, said["version"]) == (200, 1)
    site.wait(lambda: len(site.records(Scored)) == 2)
    tried, answered = site.records(Scored)
    assert (tried.version, tried.role, tried.status, tried.outputs) == ("ver_2", "served", status, (None,))
    assert (answered.version, answered.role, answered.status) == ("ver_1", "fallback", "ok")


def test_a_challenger_that_fails_grossly_is_taken_out_at_once_and_said_to_be(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    challenger = rule_version(site.blobs, "ver_2", 2, RAISES, DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_2", share=1.0)
    site.publish(routing(1, model_route(champion, release=release), [champion, challenger]))
    site.models()
    site.gateway()
    site.ready()
    assert [site.predict(ROW)[0] for _ in range(8)] == [200] * 8
    said = site.file.workers()["gateway-0"]
    assert list(said.disabled) == ["ver_2"]
    assert said.disabled["ver_2"].startswith("5 of 5 requests failed, the last one: failed: ValueError: no")
    site.wait(lambda: len(site.records(Scored)) == 13)
    assert [record.version for record in site.records(Scored)].count("ver_2") == 5


def test_a_shadow_scores_after_the_answer_and_only_the_row_at_fault_is_blamed(site: Any) -> None:
    picky = (
        "def answer(frame, params):\n"
        "    if (frame['distance'] < 0).any():\n"
        "        raise ValueError('negative')\n"
        "    return [0.5] * len(frame)\n"
    )
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    shadow = rule_version(site.blobs, "ver_2", 2, picky, DISTANCE)
    route = model_route(champion, shadows=(ShadowRoute("ver_2", "rel_1"),))
    site.publish(routing(1, route, [champion, shadow]))
    site.models()
    site.gateway()
    site.ready()
    status, _ = site.predict([ROW, {**ROW, "distance": -1.0}, ROW])
    assert status == 200
    site.wait(lambda: site.ask("/drained")[1] == {"queued": 3, "done": 3, "dropped": 0, "waiting": 0})
    site.wait(lambda: len(site.records(Scored)) == 3)
    _, good, bad = sorted(site.records(Scored), key=lambda record: (record.role == "shadow", len(record.reason)))
    assert (good.role, good.release, good.rows, good.outputs) == ("shadow", "rel_1", (0, 2), (0.5, 0.5))
    assert (bad.status, bad.rows, bad.reason) == ("failed", (1,), "failed: ValueError: negative")


def test_a_packed_graph_answers_and_is_logged_as_the_one_with_a_column_each(site: Any) -> None:
    inputs = (Column("distance", "float"), Column("carrier", "str", nullable=True))
    graph = linear_onnx({"distance": 0.01}, texts={"carrier": {"UA": 0.25, "DL": -1.0}})
    plain = onnx_version(site.blobs, "ver_1", 1, graph, inputs)
    packed = pack(graph)
    files = {
        **plain.package.files,
        packing.GRAPH: site.blobs.put(packed.graph),
        packing.FILE: site.blobs.put(msgspec.json.encode(packed.packing)),
    }
    fast = msgspec.structs.replace(
        plain, id="ver_2", number=2, package=msgspec.structs.replace(plain.package, files=files)
    )
    columns = (COLUMNS[0], COLUMNS[1], Column("carrier", "str", nullable=True))
    site.publish(routing(1, model_route(fast, columns=columns, pinned=("ver_1",)), [plain, fast]))
    site.gateway()
    site.ready()
    rows = [{**ROW, "carrier": carrier} for carrier in ("UA", "DL", "never seen", "", None)]
    for row in rows:
        status, said = site.predict(row)
        assert status == 200
        assert said["version"] == 2
        assert said["value"] == site.ask("/predict/late?version=1", row)[1]["value"]
    _, listed = site.predict(rows)
    assert [one["value"] for one in listed["predictions"]] == [site.predict(row)[1]["value"] for row in rows]
    site.wait(lambda: len([one for one in site.records(Scored) if one.role == "served"]) == 11)
    served = [one for one in site.records(Scored) if one.role == "served"]
    assert {one.version for one in served} == {"ver_2"}
    again = load_onnx(fast, site.blobs.get)
    for one, row in zip(served[:5], rows, strict=True):
        assert one.outputs == (again.run([(row["distance"], row["carrier"])])[0],)


def test_a_shadow_that_does_not_keep_up_is_passed_by_and_the_rows_are_counted(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    shadow = rule_version(site.blobs, "ver_2", 2, SLEEPS, DISTANCE)
    site.publish(routing(1, model_route(champion, shadows=(ShadowRoute("ver_2", "rel_1"),)), [champion, shadow]))
    site.models()
    site.gateway(MAINSPRING_LIMITS_SHADOW_ROWS="3")
    site.ready()
    assert [site.predict(ROW)[0] for _ in range(10)] == [200] * 10
    said = site.ask("/drained")[1]
    assert said["dropped"] > 0
    assert said["queued"] + said["dropped"] == 10
    assert said["waiting"] <= 3
    lines = [line for line in site.ask("/metrics")[1].splitlines() if line.startswith("mainspring_shadow_rows_dropped")]
    assert [float(line.rpartition(" ")[2]) for line in lines] == [said["dropped"]]
    site.wait(lambda: site.ask("/drained")[1]["waiting"] == 0)
    site.wait(lambda: len(site.records(Scored)) == 10 + said["queued"])
    assert [record.role for record in site.records(Scored)].count("served") == 10
