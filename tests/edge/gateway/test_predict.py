from __future__ import annotations

import math
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Assignment, Request, Scored
from mainspring.serving.routing import ReleaseRoute, ShadowRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

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
