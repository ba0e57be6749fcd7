from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainspring.adapters.home import create_home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.runtimes.frames import socket_path
from mainspring.adapters.runtimes.process import ask_and_wait
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.schema import Column
from mainspring.log.records import Assignment, Request, Scored
from mainspring.serving.routing import ReleaseRoute, Routing, ShadowRoute, ViewRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version
from mainspring.testing.traffic import Traffic

DISTANCE = (Column("distance", "float"),)
ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
HALVES = "def answer(frame, params):\n    return [0.5] * len(frame)\n"


def two_champions(site: Any) -> list[Any]:
    return [onnx_version(site.blobs, f"ver_{n}", n, linear_onnx({"distance": 0.01}, bias=n), DISTANCE) for n in (1, 2)]


def answers(socket: Path) -> bool:
    try:
        return ask_and_wait(socket, [(1.0,)], 5.0).values == (0.5,)
    except OSError:
        return False


def test_twenty_hand_overs_under_load_fail_no_request(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions))
    site.gateway()
    site.ready()
    served: set[int] = set()

    def note(index: int, status: int, body: bytes) -> None:
        served.add(json.loads(body)["version"])

    async def load() -> Traffic:
        async with Traffic("127.0.0.1", site.port, connections=4) as traffic:
            swapping = asyncio.create_task(swap())
            while not swapping.done():
                await traffic.post("/predict/late", [json.dumps(ROW).encode()] * 200, on_answer=note)
            await swapping
            return traffic

    async def swap() -> None:
        for generation in range(2, 22):
            site.publish(routing(generation, model_route(versions[generation % 2]), versions))
            while site.file.acknowledgements()["gateway-0"][0] != generation:
                await asyncio.sleep(0.01)

    traffic = asyncio.run(load())
    assert (traffic.failed, traffic.sent, served) == (0, traffic.answered, {1, 2})


def test_a_damaged_routing_is_not_taken_up_and_answers_go_on(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions))
    site.gateway()
    site.ready()
    current = site.home.routing / "current"
    current.write_bytes(current.read_bytes().replace(b"ver_1", b"ver_2"))
    time.sleep(0.4)
    assert site.predict(ROW)[1]["version"] == 1
    assert "is not what was written" in site.logs()
    site.publish(routing(2, model_route(versions[1]), versions))
    site.ready(2)
    assert site.predict(ROW)[1]["version"] == 2


def test_a_champion_whose_graph_is_gone_is_not_swapped_in(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions[:1]))
    site.gateway()
    site.ready()
    site.blobs.path(versions[1].package.files["model.onnx"]).unlink()
    site.publish(routing(2, model_route(versions[1]), versions))
    site.wait(lambda: "no such blob is stored" in site.logs())
    assert site.predict(ROW)[1]["version"] == 1
    assert site.file.acknowledgements()["gateway-0"][0] == 1


def test_a_gateway_that_starts_again_answers_by_the_snapshot_on_disk(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(7, model_route(versions[0]), versions))
    first = site.gateway()
    site.ready(7)
    first.send_signal(signal.SIGKILL)
    first.wait()
    site.file.withdraw("gateway-0")
    site.gateway()
    site.ready(7)
    assert site.predict(ROW)[0] == 200


def test_disabling_a_release_does_not_wait_for_a_version_that_cannot_load(site: Any) -> None:
    versions = two_champions(site)
    broken = rule_version(site.blobs, "ver_9", 9, "raise SystemExit(1)\n", DISTANCE)
    site.publish(routing(1, model_route(versions[0]), versions))
    site.models()
    site.gateway()
    site.ready()
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_9", share=0.5)
    site.publish(routing(2, model_route(versions[0], release=release), [*versions, broken]))
    time.sleep(0.5)
    assert site.file.acknowledgements()["gateway-0"][0] == 1
    site.publish(routing(3, model_route(versions[0]), versions))
    site.wait(lambda: site.file.acknowledgements()["gateway-0"][0] == 3, timeout_s=2)


@pytest.mark.parametrize("policy", ["durable", "batched"])
def test_what_was_acknowledged_as_durable_is_in_the_spool_when_the_answer_comes(site: Any, policy: str) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions, acknowledgement=policy))
    site.gateway()
    site.ready()
    status, said, headers = site.ask("/predict/late", ROW)
    assert (status, headers["x-mainspring-acknowledgement"]) == (200, policy)
    if policy == "durable":
        assert [type(record) for record in site.records()] == [Request, Assignment, Scored]
        assert site.records()[2].prediction_id == said["id"]


def test_a_killed_model_process_comes_back_and_callers_never_notice(site: Any) -> None:
    versions = two_champions(site)
    challenger = rule_version(site.blobs, "ver_9", 9, HALVES, DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_9", share=1.0)
    site.publish(routing(1, model_route(versions[0], release=release), [versions[0], challenger]))
    site.models(MAINSPRING_CRASH_AT="model_process.before_run:3")
    site.gateway()
    site.ready()
    said = [site.predict(ROW) for _ in range(3)]
    assert [status for status, _ in said] == [200, 200, 200]
    assert [body["version"] for _, body in said] == [9, 9, 1]
    site.wait(lambda: answers(socket_path(site.home.run, "ver_9")))
    time.sleep(0.2)
    assert site.predict(ROW)[1]["version"] == 9
    site.wait(lambda: "failed: its process is away" in {record.reason for record in site.records(Scored)})


def test_a_champion_in_a_process_of_its_own_answers(site: Any) -> None:
    champion = rule_version(site.blobs, "ver_1", 1, HALVES, DISTANCE)
    site.publish(routing(1, model_route(champion), [champion]))
    site.models()
    site.gateway()
    site.ready()
    assert site.predict([ROW, ROW])[1]["predictions"] == [{"version": 1, "value": 0.5}] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set on Linux alone")
def test_a_full_disk_refuses_with_a_retry_after_and_recovers(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions, acknowledgement="durable"))
    gateway = site.gateway()
    site.ready()
    assert site.predict(ROW)[0] == 200
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    status, said, headers = site.ask("/predict/late", ROW)
    assert (status, said["code"], headers["retry-after"]) == (503, "unavailable", "1")
    assert "full" in said["message"]
    assert site.ask("/ready")[0] == 503
    site.wait(lambda: gauge(site, "mainspring_spool_failing_seconds") > 0.2)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    site.wait(lambda: site.predict(ROW)[0] == 200)
    assert gauge(site, "mainspring_spool_failing_seconds") == 0


def gauge(site: Any, name: str) -> float:
    lines = [line for line in site.ask("/metrics")[1].splitlines() if line.partition("{")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_version_that_is_replaced_answers_what_it_has_begun_and_then_its_process_ends(site: Any) -> None:
    slow = "import time\n\ndef answer(frame, params):\n    time.sleep(1.5)\n    return [0.5] * len(frame)\n"
    old = rule_version(site.blobs, "ver_1", 1, slow, DISTANCE)
    new = two_champions(site)[1]
    site.publish(routing(1, model_route(old, deadline_ms=20_000), [old]))
    site.models()
    site.gateway()
    site.ready()
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(site.predict, ROW)
        site.wait(lambda: gauge(site, "mainspring_model_requests") == 1)
        site.publish(routing(2, model_route(new), [new]))
        site.ready(2)
        assert site.predict(ROW)[1]["version"] == 2
        assert not begun.done()  # it is with the old version still
        assert site.ask("/metrics")[1].count("mainspring_model_connected{") == 0  # which is asked no more
        status, said = begun.result()
    assert (status, said["version"]) == (200, 1)
    site.wait(lambda: not socket_path(site.home.run, "ver_1").exists())


WEATHER = SourceSpec(
    "weather", PushReader(), "at", ("carrier",), known_after_us=0,
    columns=(Column("carrier", "str"), Column("at", "time"), Column("temp", "float", True)),
)  # fmt: skip
WEATHER_NOW = ViewSpec("weather_now", "weather", ("carrier",), (Feature("temp", "last", "temp"),), 10 * 3_600_000_000)


def serve_weather(site: Any) -> None:
    digest = WEATHER_NOW.digest(WEATHER)
    champion = onnx_version(
        site.blobs, "ver_1", 1, linear_onnx({"temp": 1.0}), (Column("temp", "float", True),),
        views=(digest,), features={"temp": "weather_now.temp"},
    )  # fmt: skip
    routes = (ViewRoute(digest, "prj_1", WEATHER_NOW, "src_1"),)
    site.publish(routing(1, model_route(champion), [champion], views=routes))


def test_a_view_that_is_not_fed_yet_is_no_key_that_was_never_seen(site: Any) -> None:
    serve_weather(site)
    site.gateway()
    time.sleep(0.5)
    status, said, headers = site.ask("/predict/late", ROW)
    assert (status, said["code"], headers["retry-after"]) == (503, "unavailable", "1")
    assert site.ask("/ready")[0] == 503
    nothing = pl.DataFrame(schema={column.name: pl.Null for column in WEATHER.columns})
    LmdbLatest(site.home.latest).put(WEATHER_NOW.digest(WEATHER), WEATHER_NOW, WEATHER, nothing)
    site.ready()
    status, said = site.predict(ROW)  # now the key was never seen: this graph makes no number of a missing value
    assert (status, said["code"]) == (500, "model_failed")


def test_features_are_looked_up_as_known_at_the_decision_and_logged(site: Any) -> None:
    source, view = WEATHER, WEATHER_NOW
    now_us = time.time_ns() // 1_000
    hour_us = 3_600_000_000
    moments = pl.Series([now_us - 3 * hour_us, now_us - hour_us], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"carrier": ["UA", "UA"], "at": moments, "temp": [1.0, 2.0]})
    LmdbLatest(site.home.latest).put(view.digest(source), view, source, rows)
    digest = view.digest(source)
    serve_weather(site)
    site.gateway()
    site.ready()
    _, now = site.predict(ROW)
    earlier = pl.Series([now_us - 2 * hour_us]).cast(pl.Datetime("us", "UTC"))[0].isoformat()
    _, then = site.predict(ROW, x_mainspring_at=earlier)
    assert now["value"] == pytest.approx(0.880797, abs=1e-6)
    assert then["value"] == pytest.approx(0.731059, abs=1e-6)
    site.wait(lambda: len(site.records(Scored)) == 2)
    assert json.loads(site.records(Scored)[0].features) == [{"weather_now": [[2.0], now_us - hour_us, digest]}]


def test_the_champion_is_the_shadow_of_rows_that_its_challenger_answers(site: Any) -> None:
    versions = two_champions(site)
    challenger = rule_version(site.blobs, "ver_9", 9, HALVES, DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_9", share=0.5)
    shadows = (ShadowRoute("ver_9", "rel_1"), ShadowRoute("ver_1", "rel_1"))
    route = model_route(versions[0], release=release, shadows=shadows)
    site.publish(routing(1, route, [versions[0], challenger]))
    site.models()
    site.gateway()
    site.ready()
    site.predict([{**ROW, "id": f"f{number}"} for number in range(50)])
    site.wait(lambda: site.ask("/drained")[1]["done"] == 50)
    site.wait(lambda: len(site.records(Scored)) == 4)
    rows = {(record.version, record.role): set(record.rows) for record in site.records(Scored)}
    assert rows["ver_1", "served"] | rows["ver_9", "served"] == set(range(50))
    assert rows["ver_1", "shadow"] == rows["ver_9", "served"]
    assert rows["ver_9", "shadow"] == rows["ver_1", "served"]


def test_two_workers_share_a_port(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0]), versions))
    site.gateway(0)
    site.gateway(1)
    site.ready(worker="gateway-0")
    site.ready(worker="gateway-1")
    boots = {site.predict(ROW)[1]["id"].split("-")[0] for _ in range(40)}
    assert len(boots) == 2


def test_more_requests_than_may_wait_are_refused_at_once(site: Any) -> None:
    slow = "import time\ndef answer(frame, params):\n    time.sleep(0.5)\n    return [0.5] * len(frame)\n"
    champion = rule_version(site.blobs, "ver_1", 1, slow, DISTANCE)
    site.publish(routing(1, model_route(champion, deadline_ms=10_000), [champion]))
    site.models()
    site.gateway(MAINSPRING_LIMITS_QUEUE_S="60")
    site.ready()
    statuses: list[int] = []

    async def flood() -> None:
        async with Traffic("127.0.0.1", site.port, connections=560) as traffic:
            await traffic.post(
                "/predict/late",
                [json.dumps(ROW).encode()] * 560,
                on_answer=lambda at, status, body: statuses.append(status),
            )

    asyncio.run(flood())
    assert set(statuses) == {200, 429}
    assert statuses.count(429) == 560 - 512
    assert statuses[:48] == [429] * 48


def test_on_a_simulated_clock_now_is_what_the_driver_says(new_site: Any, tmp_path: Path) -> None:
    create_home(tmp_path / "home", simulated_from=datetime(2013, 3, 1, tzinfo=UTC))
    site = new_site(tmp_path / "home")
    try:
        versions = two_champions(site)
        site.publish(routing(1, model_route(versions[0]), versions))
        site.gateway()
        site.ready()
        clock = SimulatedClock(site.home.root / "clock", writable=True)
        clock.advance(datetime(2013, 3, 2, 12, tzinfo=UTC))
        assert site.predict(ROW, x_mainspring_at="2013-03-02T11:00Z")[0] == 200
        assert site.predict(ROW)[0] == 200
        assert site.predict(ROW, x_mainspring_at="2013-03-02T13:00Z")[1]["code"] == "time_in_future"
        assert site.predict(ROW, x_mainspring_at="2013-03-01T11:00Z")[1]["code"] == "decision_too_old"
        site.wait(lambda: len(site.records(Request)) == 2)
        assert [record.decision_us for record in site.records(Request)] == [
            1_362_222_000_000_000,
            1_362_225_600_000_000,
        ]
    finally:
        site.stop()


def test_a_caller_may_ask_a_pinned_version_by_its_number(site: Any) -> None:
    versions = two_champions(site)
    site.publish(routing(1, model_route(versions[0], pinned=("ver_2",)), versions))
    site.gateway()
    site.ready()
    assert site.ask("/predict/late?version=2", ROW)[1]["version"] == 2
    assert site.predict(ROW)[1]["version"] == 1
    site.wait(lambda: len(site.records(Scored)) == 2)
    assert [(record.version, record.role) for record in site.records(Scored)] == [
        ("ver_2", "pinned"),
        ("ver_1", "served"),
    ]


def test_a_model_with_a_threshold_also_decides(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE, threshold=0.7)
    site.publish(routing(1, model_route(champion), [champion]))
    site.gateway()
    site.ready()
    said = site.predict([ROW, {**ROW, "distance": 0.0}])[1]["predictions"]
    assert [one["decision"] for one in said] == [True, False]
    site.wait(lambda: site.records(Scored))
    assert (site.records(Scored)[0].threshold, site.records(Scored)[0].decisions) == (0.7, (True, False))


def test_a_challenger_that_cannot_even_start_does_not_hold_up_the_routing(site: Any) -> None:
    champion = two_champions(site)[0]
    broken = rule_version(site.blobs, "ver_9", 9, "raise ValueError('at import')\n", DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_9", share=1.0)
    site.publish(routing(1, model_route(champion, release=release), [champion, broken]))
    site.models()
    site.gateway()
    site.ready()
    assert site.predict(ROW)[1]["version"] == 1
    site.wait(lambda: len(site.records(Scored)) == 2)
    assert site.records(Scored)[0].reason == "failed: its process is away"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/late", ROW),
        ("/predict/late?project=flights", ROW),
        ("/outcomes/late", []),
        ("/v2/models/late", None),
        ("/v2/models/late/infer", {"inputs": []}),
        ("/v1/models/late:predict", {"instances": [ROW]}),
        ("/invocations", {"instances": [ROW]}),
    ],
)
def test_a_model_whose_process_is_on_its_way_is_loading_and_not_unknown(loading: Any, path: str, body: Any) -> None:
    status, said, headers = loading.ask(path, body)
    assert (status, headers["retry-after"]) == (503, "1")
    assert "is loading" in json.dumps(said)
    status, said, _ = loading.ask(path.replace("/late", "/other"), body, x_mainspring_model="flights/other")
    assert status == 404


@pytest.fixture(scope="module")
def loading(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway that knows nothing yet, and a first release whose model process does not come up."""
    site = new_site(tmp_path_factory.mktemp("loading") / "home")
    site.publish(Routing(1, 0))
    site.gateway()
    site.ready()
    champion = rule_version(site.blobs, "ver_1", 1, HALVES, DISTANCE)
    site.publish(routing(2, model_route(champion), [champion]))
    site.wait(lambda: site.ask("/predict/late", ROW)[0] == 503)
    yield site
    site.stop()


def test_what_cannot_be_warmed_is_told_as_json(site: Any) -> None:
    two = (Column("distance", "float"), Column("missing", "float"))
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01, "other": 0.1}), two)
    site.publish(routing(1, model_route(champion), [champion]))
    site.gateway()
    site.wait(lambda: "not_warmed" in site.logs() or "swap_failed" in site.logs())
    lines = [line for line in site.logs().splitlines() if line and not line.startswith("---")]
    assert all(isinstance(json.loads(line), dict) for line in lines)
