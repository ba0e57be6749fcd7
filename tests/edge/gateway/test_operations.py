"""What operators see of a gateway: metrics, readiness, the log, traces, and its end."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.edges.gateway.metrics import METRICS, Histogram, Samples, exposition
from mainspring.edges.gateway.told import read_trace
from mainspring.edges.processes import free_port
from mainspring.kernel.schema import Column
from mainspring.serving.routing import ReleaseRoute, ShadowRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
DISTANCE = (Column("distance", "float"),)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_spec = importlib.util.spec_from_file_location("exposition", Path(__file__).with_name("exposition.py"))
assert _spec is not None
assert _spec.loader is not None
reader: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reader)


def champion(site: Any) -> Any:
    return onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), DISTANCE)


def scrape(site: Any, accept: str = "text/plain") -> tuple[dict[str, str], dict[Any, float]]:
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        kind, text = answer.headers["content-type"], answer.read().decode()
    open_metrics = "openmetrics" in accept
    assert kind.startswith(
        "application/openmetrics-text; version=1.0.0" if open_metrics else "text/plain; version=0.0.4"
    )
    found: tuple[dict[str, str], dict[Any, float]] = reader.read(text, open_metrics=open_metrics)
    return found


def value(series: dict[Any, float], name: str, **labels: str) -> float:
    return sum(
        number for (own, given), number in series.items() if own == name and labels.items() <= dict(given).items()
    )


@pytest.fixture(scope="module")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a gateway whose challenger always fails, with a shadow, and a log of all answers."""
    site = new_site(tmp_path_factory.mktemp("operations") / "home")
    stable = champion(site)
    failing = rule_version(site.blobs, "ver_9", 9, "def answer(frame, params):\n    raise ValueError('no')\n", DISTANCE)
    release = ReleaseRoute("rel_1", epoch=0, salt="s", challenger="ver_9", share=0.5)
    shadows = (ShadowRoute("ver_1", "rel_1"),)
    site.publish(routing(1, model_route(stable, release=release, shadows=shadows), [stable, failing]))
    site.models()
    site.gateway(MAINSPRING_LOG_REQUESTS="1")
    site.ready()
    for number in range(40):
        headers = {"traceparent": PARENT} if number == 0 else {}
        assert site.ask("/predict/late", {**ROW, "id": f"f{number}"}, **headers)[0] == 200
    site.ask("/predict/late", {"id": "secret-id", "distance": "secret-value", "carrier": "UA"}, traceparent=PARENT)
    site.ask("/nowhere")
    yield site
    site.stop()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_metrics_are_told_in_both_formats_by_version_and_role(served: Any, accept: str) -> None:
    kinds, series = scrape(served, accept)
    assert len(kinds) == len(METRICS)
    assert value(series, "mainspring_answers_total", route="predict", status="200") == 40
    assert value(series, "mainspring_answers_total", route="other", status="404") == 1
    assert value(series, "mainspring_problems_total", code="wrong_type") == 1
    assert value(series, "mainspring_predict_seconds_count", project="flights", model="late") == 40
    tried = value(series, "mainspring_faults_total", version="9", role="served", status="failed")
    assert 1 <= tried <= 39
    assert value(series, "mainspring_model_seconds_count", version="1", role="fallback") == tried
    assert value(series, "mainspring_model_seconds_count", version="1", role="served") == 40 - tried
    assert value(series, "mainspring_permits") == 512
    assert value(series, "mainspring_swaps_total") == 1
    assert value(series, "mainspring_ready") == 1
    assert value(series, "process_resident_memory_bytes") > 1e7
    assert value(series, "mainspring_spool_bytes") > 0


def events(site: Any, event: str) -> list[dict[str, Any]]:
    text = "".join(path.read_text() for path in site.home.run.glob("mainspring.edges.gateway.log"))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_the_log_says_each_answer_with_its_id_and_trace(served: Any) -> None:
    served.wait(lambda: len(events(served, "answered")) == 40)
    first = events(served, "answered")[0]
    assert first["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert first["parent_id"] == "b7ad6b7169203331"
    assert (first["model"], first["generation"], first["rows"], first["status"]) == ("late", 1, 1, 200)
    assert first["id"].count("-") == 1
    assert {line["role"] for line in events(served, "answered")} == {"served", "fallback"}
    assert [line["generation"] for line in events(served, "swapped")] == [1]


def test_the_log_says_each_refusal_and_nothing_that_stood_in_it(served: Any) -> None:
    served.wait(lambda: len(events(served, "refused")) == 2)
    refused = next(line for line in events(served, "refused") if line["route"] == "predict")
    assert (refused["code"], refused["status"], refused["field"]) == ("wrong_type", 400, "distance")
    assert refused["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "secret" not in json.dumps(refused)


def test_a_flood_of_refusals_is_counted_and_not_written(served: Any) -> None:
    before = len(events(served, "refused"))
    for _ in range(300):
        served.ask("/nowhere/at/all")
    assert len(events(served, "refused")) - before < 300


@pytest.mark.parametrize(
    "given",
    ["", "00", PARENT.upper(), PARENT[:-1], PARENT + "0", PARENT + "-00", "ff" + PARENT[2:],
     "00-" + "0" * 32 + PARENT[35:], PARENT[:36] + "0" * 16 + "-01", "zz" + PARENT[2:]],
)  # fmt: skip
def test_a_traceparent_that_breaks_the_standard_is_not_followed(given: str) -> None:
    assert read_trace({"traceparent": given}) is None


def test_a_traceparent_of_a_later_version_is_followed() -> None:
    found = read_trace({"traceparent": "01" + PARENT[2:] + "-more"})
    assert found is not None
    assert found.sampled


def test_labels_that_need_it_are_escaped() -> None:
    samples = Samples('worker "1"\\\n')
    samples.add("mainspring_predict_seconds", Histogram(), 'pro"ject', "mo\\del\n")
    for open_metrics in (False, True):
        _, series = reader.read(exposition([samples], open_metrics=open_metrics).decode(), open_metrics=open_metrics)
        assert value(series, "mainspring_predict_seconds_count", project='pro"ject', model="mo\\del\n") == 0
        assert {dict(labels)["worker"] for _, labels in series} == {'worker "1"\\\n'}


def test_one_scrape_tells_of_all_workers_of_a_port(site: Any) -> None:
    one = champion(site)
    site.publish(routing(1, model_route(one), [one]))
    for worker in (0, 1):
        arguments = ("--port", str(site.port), "--worker", str(worker), "--workers", "2")
        site.start("mainspring.edges.gateway", *arguments)
        file = site.home.run / f"gateway-{worker}.json"
        site.wait(file.exists)
        site.port = json.loads(file.read_bytes())["port"]
        site.ready(worker=f"gateway-{worker}")
    for _ in range(40):
        assert site.predict(ROW)[0] == 200

    def told() -> bool:
        series = scrape(site)[1]
        workers = {dict(labels)["worker"] for _, labels in series}
        answers = value(series, "mainspring_answers_total", route="predict", status="200")
        return workers == {"gateway-0", "gateway-1"} and answers == 40

    site.wait(told)


def answers(site: Any) -> bool:
    try:
        return bool(site.ask("/live")[0] == 200)
    except OSError:
        return False  # it does not listen yet


def test_ready_tells_the_truth_and_control_away_is_no_reason(site: Any) -> None:
    one = champion(site)
    site.gateway(MAINSPRING_LIMITS_STALE_ROUTING_S="0.5", MAINSPRING_LIMITS_DRAIN_NOTICE_S="5")
    site.wait(lambda: answers(site))
    assert site.ask("/ready")[:2] == (503, {"ready": False, "generation": 0, "why": "no routing is loaded yet"})
    assert site.ask("/live")[0] == 200
    site.publish(routing(1, model_route(one), [one]))
    site.ready()
    assert site.ask("/ready")[0] == 200  # no control was ever there
    missing = onnx_version(site.blobs, "ver_2", 2, linear_onnx({"distance": 0.5}), DISTANCE)
    gone = missing.package.files["model.onnx"]
    next(path for path in site.home.blobs.rglob("*") if path.is_file() and gone in str(path).replace("/", "")).unlink()
    site.publish(routing(2, model_route(missing), [missing]))
    site.wait(lambda: site.ask("/ready")[0] == 503)
    assert "a newer routing could not be loaded" in site.ask("/ready")[1]["why"]
    assert site.predict(ROW)[0] == 200  # by the one that it holds
    site.publish(routing(3, model_route(one), [one]))
    site.wait(lambda: site.ask("/ready")[0] == 200)
    site.processes[0].send_signal(signal.SIGTERM)
    site.wait(lambda: site.ask("/ready")[0] == 503)
    assert site.ask("/ready")[1]["why"] == "it is being stopped"
    status, _, headers = site.ask("/predict/late", ROW)
    assert (status, headers["connection"]) == (200, "close")
    assert site.processes[0].wait(30) == 0


def test_a_span_for_each_request_reaches_a_collector_with_its_parent(site: Any) -> None:
    from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

    one = champion(site)
    site.publish(routing(1, model_route(one), [one]))
    port = free_port()
    site.gateway(MAINSPRING_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", MAINSPRING_TRACE_SHARE="0")
    site.ready()

    async def tap() -> list[Any]:
        settings = OtelTapHttpProtobufReceiverSettings(http_port=port, listen_on_all_interfaces=False)
        async with OtelTapHttpProtobufReceiver(settings) as receiver:
            answer = asyncio.ensure_future(receiver.await_trace(lambda span: span.name == "predict late", timeout=60))
            refusal = asyncio.ensure_future(receiver.await_trace(lambda span: span.name == "predict", timeout=60))
            await asyncio.sleep(0)
            said = await asyncio.to_thread(site.ask, "/predict/late", ROW, traceparent=PARENT)
            await asyncio.to_thread(site.ask, "/predict/late", {}, traceparent=PARENT)
            await asyncio.to_thread(site.ask, "/predict/late", ROW)  # not sampled
            return [said, await answer, await refusal]

    said, span, refused = asyncio.run(tap())
    told = {one.key: one.value for one in span.attributes}
    assert told["mainspring.prediction_id"].string_value == said[1]["id"]
    assert told["mainspring.version"].array_value.values[0].int_value == 1
    assert told["mainspring.role"].string_value == "served"
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert {one.key: one.value for one in refused.attributes}["error.type"].string_value == "missing_field"


def test_a_collector_that_is_away_holds_up_nobody(site: Any) -> None:
    one = champion(site)
    site.publish(routing(1, model_route(one), [one]))
    site.gateway(MAINSPRING_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    site.ready()
    for _ in range(20):
        assert site.predict(ROW)[0] == 200
    site.processes[0].send_signal(signal.SIGTERM)
    began_s = time.monotonic()
    assert site.processes[0].wait(60) == 0
    assert time.monotonic() - began_s < 50


if sys.platform != "linux":
    del test_one_scrape_tells_of_all_workers_of_a_port
