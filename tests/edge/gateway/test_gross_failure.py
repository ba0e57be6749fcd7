"""Challengers that fail grossly, each in its own way: who asks is answered, and they are taken out, everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Scored
from mainspring.serving.routing import ArmRoute, ReleaseRoute, ShadowRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

DISTANCE = (Column("distance", "float"),)
DEADLINE_MS = 400
WAYS = {
    "raises": "raise ValueError('no')",
    "has no number": "return [float('nan')] * len(frame)",
    "answers with text": "return ['soon'] * len(frame)",
    "dies": "os.kill(os.getpid(), signal.SIGKILL)",
    "leaves": "sys.exit(3)",
    "wants all memory": "return [bytearray(1 << 40)]",
    "hangs": "time.sleep(3600)",
    "is slow": "time.sleep(0.6 * len(frame)); return [0.5] * len(frame)",
}
SOUND = "return [0.5] * len(frame)"
MOST_TRIED = 40  # five in a row take it out; those that come meanwhile try it too


def rule(body: str) -> str:
    return f"import os, signal, sys, time\n\ndef answer(frame, params):\n    {body}\n"


def row(number: int) -> dict[str, Any]:
    return {"id": f"f{number}", "distance": 100.0, "carrier": "UA"}


def failing(site: Any, names: list[str]) -> tuple[list[Any], list[Any]]:
    """Return a model of each name with a challenger that fails in that way, and all versions."""
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    models, versions = [], [champion]
    for number, name in enumerate(names, start=2):
        versions.append(rule_version(site.blobs, f"ver_{number}", number, rule(WAYS[name]), DISTANCE))
        release = ReleaseRoute(f"rel_{number}", epoch=0, salt="s", challenger=f"ver_{number}", share=0.5)
        changes = {"model": f"mdl_{number}", "name": name.replace(" ", "_"), "deadline_ms": DEADLINE_MS}
        models.append(model_route(champion, release=release, **changes))
    return models, versions


def publish(site: Any, models: list[Any], versions: list[Any], generation: int = 1) -> None:
    site.publish(msgspec.structs.replace(routing(generation, models[0], versions), models=tuple(models)))


def disabled(site: Any, worker: str = "gateway-0") -> dict[str, str]:
    said = site.file.workers().get(worker)
    return {} if said is None else said.disabled


@pytest.fixture(scope="module")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("gross") / "home")
    publish(site, *failing(site, list(WAYS)))
    site.models(MAINSPRING_MODEL_MEMORY_MB="1000")
    site.gateway()
    site.wait(lambda: site.file.acknowledgements().get("gateway-0", (0, 0))[0] == 1, 60)
    yield site
    site.stop()


@pytest.mark.parametrize("number", range(len(WAYS)), ids=list(WAYS))
def test_a_challenger_that_fails_in_any_way_harms_no_caller_and_is_taken_out(served: Any, number: int) -> None:
    name, version = list(WAYS)[number], f"ver_{number + 2}"
    path = f"/predict/{name.replace(' ', '_')}"
    asked = 0
    while version not in disabled(served):
        assert asked < 4 * MOST_TRIED
        status, said, _ = served.ask(path, row(asked))
        assert (status, said.get("version")) == (200, 1), said
        asked += 1
    reason = disabled(served)[version]
    assert " requests failed, the last one: " in reason
    for one in range(10):
        assert served.ask(path, row(one))[1]["version"] == 1
    served.wait(lambda: tried(served, version) >= 5)
    assert tried(served, version) <= MOST_TRIED


def tried(site: Any, version: str) -> int:
    return sum(len(one.rows) for one in site.records(Scored) if one.version == version and one.role == "served")


def test_nobody_waits_for_a_process_that_has_answered_nobody_for_longer_than_the_deadline(site: Any) -> None:
    models, versions = failing(site, ["hangs"])
    release = msgspec.structs.replace(models[0].release, share=1.0, planned_requests=10**30)  # it stays in
    publish(site, [msgspec.structs.replace(models[0], release=release)], versions)
    site.models()
    site.gateway()
    site.ready()
    assert site.ask("/predict/hangs", row(0))[1]["version"] == 1  # it waited, and so it is known
    time.sleep(DEADLINE_MS / 1e3)
    for number in range(10):
        assert site.ask("/predict/hangs", row(number))[1]["version"] == 1
    site.wait(lambda: tried(site, "ver_2") == 11)
    late = [one for one in site.records(Scored) if one.version == "ver_2"]
    assert {one.status for one in late} == {"late"}
    assert [one.latency_us for one in late[1:]] == [0] * 10  # it was not asked
    assert disabled(site) == {}


def test_what_one_worker_takes_out_the_other_takes_out_though_control_is_away(site: Any) -> None:
    models, versions = failing(site, ["raises"])
    publish(site, models, versions)
    site.models()
    for worker in (0, 1):
        arguments = ("--port", str(site.port), "--worker", str(worker), "--workers", "2")
        site.start("mainspring.edges.gateway", *arguments)
        file = site.home.run / f"gateway-{worker}.json"
        site.wait(file.exists)
        site.port = msgspec.json.decode(file.read_bytes())["port"]
    site.ready(worker="gateway-0")
    site.ready(worker="gateway-1")
    asked = 0
    while not (disabled(site, "gateway-0") or disabled(site, "gateway-1")):
        assert asked < 8 * MOST_TRIED
        assert site.ask("/predict/raises", row(asked))[1]["version"] == 1
        asked += 1
    site.wait(lambda: disabled(site, "gateway-0") and disabled(site, "gateway-1"))
    assert list(disabled(site, "gateway-0")) == list(disabled(site, "gateway-1")) == ["ver_2"]
    publish(site, [msgspec.structs.replace(models[0], release=None)], versions[:1], generation=2)
    site.wait(lambda: {one[0] for one in site.file.acknowledgements().values()} == {2})
    assert (disabled(site, "gateway-0"), disabled(site, "gateway-1")) == ({}, {})


def test_of_several_challengers_and_shadows_those_that_fail_take_nobody_with_them(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)
    bodies = {2: SOUND, 3: WAYS["raises"], 4: WAYS["hangs"], 5: WAYS["dies"]}
    others = [rule_version(site.blobs, f"ver_{n}", n, rule(body), DISTANCE) for n, body in bodies.items()]
    arms = tuple(ArmRoute(f"ver_{number}", 0.25) for number in (3, 4))
    release = ReleaseRoute("rel_1", 0, "s", "ver_2", 0.25, planned_requests=100, others=arms, per="request")
    shadows = tuple(ShadowRoute(f"ver_{number}", "rel_2") for number in (4, 5))
    route = model_route(champion, release=release, shadows=shadows, deadline_ms=DEADLINE_MS)
    site.publish(routing(1, route, [champion, *others]))
    site.models()
    site.gateway()
    site.ready()
    met: set[int] = set()
    asked = 0
    while len(disabled(site)) < 2:
        assert asked < 8 * MOST_TRIED
        status, said = site.predict(row(asked))
        assert status == 200
        met.add(said["version"])
        asked += 1
    assert set(disabled(site)) == {"ver_3", "ver_4"}
    assert met == {1, 2}
    assert {site.predict(row(number))[1]["version"] for number in range(20)} == {1, 2}
