"""Requests that come in one turn of the loop: answered as if each had come alone, whatever the others are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Assignment, Request, Scored
from mainspring.serving.routing import ReleaseRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

DISTANCE = (Column("distance", "float"),)
GRAPH = linear_onnx({"distance": 0.001})


def bodies(count: int) -> list[bytes]:
    return [
        json.dumps({"id": f"f{number}", "distance": number * 13.7 - 500.0, "carrier": "UA"}).encode()
        for number in range(count)
    ]


def asked(port: int, bodies: list[bytes], connections: int) -> dict[int, tuple[int, Any]]:
    """Return status and answer by the place of the body."""
    answers: dict[int, tuple[int, Any]] = {}

    async def run() -> None:
        async with Traffic("127.0.0.1", port, connections) as traffic:
            await traffic.post(
                "/predict/late", bodies, on_answer=lambda at, status, body: answers.update({at: (status, body)})
            )

    asyncio.run(run())
    return {at: (status, json.loads(body)) for at, (status, body) in answers.items()}


@pytest.mark.parametrize("acknowledgement", ["batched", "durable"])
def test_a_crowd_is_answered_and_logged_as_callers_one_by_one(site: Any, acknowledgement: str) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, GRAPH, DISTANCE, threshold=0.5)
    site.publish(routing(1, model_route(champion), [champion], acknowledgement=acknowledgement))
    site.gateway()
    site.ready()
    alone = asked(site.port, bodies(150), 1)
    crowd = asked(site.port, bodies(150), 24)
    assert {status for status, _ in crowd.values()} == {200}
    keys = ("version", "value", "decision")
    assert [[crowd[at][1][key] for key in keys] for at in range(150)] == [
        [alone[at][1][key] for key in keys] for at in range(150)
    ]
    ids = {said["id"]: (at, said["value"]) for at, (_, said) in crowd.items()}
    assert len(ids) == 150
    site.wait(lambda: len(site.records(Scored)) == 300)
    scored = {record.prediction_id: record for record in site.records(Scored) if record.prediction_id in ids}
    assert {id: record.outputs for id, record in scored.items()} == {id: (value,) for id, (_, value) in ids.items()}
    units = {record.prediction_id: record.units for record in site.records(Request) if record.prediction_id in ids}
    assert units == {id: (f"f{at}",) for id, (at, _) in ids.items()}


def test_a_bad_one_in_a_crowd_is_told_of_itself_and_the_others_do_not_notice(site: Any) -> None:
    """A number that single precision cannot hold makes the graph's answer NaN (0 times infinity)."""
    graph = linear_onnx({"distance": 0.0})
    champion = onnx_version(site.blobs, "ver_1", 1, graph, DISTANCE)
    site.publish(routing(1, model_route(champion), [champion]))
    site.gateway()
    site.ready()
    several = bodies(160)
    for at in range(0, 160, 8):
        several[at] = json.dumps({"id": f"bad{at}", "distance": 1e300, "carrier": "UA"}).encode()
    for at in range(3, 160, 16):
        several[at] = b'{"id": "worse", "distance": "far"}'
    said = asked(site.port, several, 32)
    for at in range(160):
        status, body = said[at]
        if at % 8 == 0:
            assert (status, body["code"]) == (500, "model_failed")
        elif at % 16 == 3:
            assert (status, body["code"]) == (400, "wrong_type")
        else:
            assert (status, body["value"]) == (200, 0.5)
    site.wait(lambda: len(site.records(Scored)) == 150)
    faults = [record.reason for record in site.records(Scored) if record.reason]
    assert faults == ["invalid"] * 20


def test_in_a_crowd_a_release_draws_as_it_does_alone(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, GRAPH, DISTANCE)
    challenger = onnx_version(site.blobs, "ver_2", 2, linear_onnx({"distance": -0.001}), DISTANCE)
    route = model_route(champion, release=ReleaseRoute("rel_1", 1, "salt", "ver_2", 0.3))
    site.publish(routing(1, route, [champion, challenger]))
    site.gateway()
    site.ready()
    alone = asked(site.port, bodies(100), 1)
    crowd = asked(site.port, bodies(100), 24)
    assert [crowd[at][1]["version"] for at in range(100)] == [alone[at][1]["version"] for at in range(100)]
    assert {said["version"] for _, said in crowd.values()} == {1, 2}
    assert [crowd[at][1]["value"] for at in range(100)] == [alone[at][1]["value"] for at in range(100)]
    site.wait(lambda: len(site.records(Assignment)) == 200)
