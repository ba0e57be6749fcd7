from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.home import create_home
from mainspring.features.spec import PushReader, SourceSpec
from mainspring.kernel.schema import Column
from mainspring.log.records import Outcomes, SourceRows
from mainspring.serving.routing import SourceRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}
WEATHER = SourceSpec(
    "weather", PushReader(), "observed_at", ("origin",), known_after_us=60_000_000,
    columns=(Column("origin", "str"), Column("observed_at", "time"), Column("temp", "float", True)),
)  # fmt: skip


@pytest.fixture(scope="module")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("refusals") / "home")
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    sources = (SourceRoute("prj_1", "flights", "src_1", WEATHER),)
    route = model_route(champion, max_rows=3)
    site.publish(routing(1, route, [champion], sources=sources))
    site.gateway()
    site.ready()
    yield site
    site.stop()


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ({"id": "f1", "distance": 1.0}, 400, "missing_field", "carrier: is missing; send every column"),
        (
            {**ROW, "distnce": 1.0}, 400, "unknown_field",
            "distnce: is not a column here; did you mean 'distance'?",
        ),
        ({**ROW, "distance": "far"}, 400, "wrong_type", "distance: must be a number (got 'far')"),
        ([ROW, {**ROW, "id": 7}], 400, "wrong_type", "[1].id: must be text (got 7)"),
        ({**ROW, "distance": None}, 400, "wrong_type", "distance: must be a number (got 'null')"),
        (
            b'{"id": "f1", "distance": NaN, "carrier": "UA"}', 400, "not_finite",
            "distance: is not a finite number (got nan); send a number",
        ),
        (
            b'[{"id": "f1", "distance": -Infinity, "carrier": "UA"}]', 400, "not_finite",
            "[0].distance: is not a finite number (got -inf); send a number",
        ),
        (
            b'{"id": "f1", "distance": 1e999, "carrier": "UA"}', 400, "not_finite",
            "distance: is not a finite number; send a number below 1.8e308",
        ),
        (b"distance=1", 400, "not_json", None),
        (b"", 400, "not_json", None),
        (b'{"id": "\xff"}', 400, "not_json", None),
        (b"7", 400, "wrong_type", None),
        ([], 400, "no_rows", "body: the list is empty; send at least one row"),
        ([ROW] * 4, 413, "too_large", "body: has too many rows (got 4); send at most 3 rows a request"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_field_value_and_remedy(
    served: Any, body: Any, status: int, code: str, message: str | None
) -> None:
    answered, said = served.predict(body)
    assert (answered, said["code"]) == (status, code)
    if message is not None:
        assert said["message"] == message


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/predict/early", "POST", 404, "not_found"),
        ("/predict/late?project=trains", "POST", 404, "not_found"),
        ("/predict/late?version=9", "POST", 404, "not_found"),
        ("/predict", "POST", 404, "not_found"),
        ("/predict/late/more", "POST", 404, "not_found"),
        ("/elsewhere", "POST", 404, "not_found"),
        ("/predict/late", "PUT", 405, "wrong_method"),
        ("/live", "POST", 405, "wrong_method"),
    ],
)
def test_a_wrong_path_or_method_is_refused(served: Any, path: str, method: str, status: int, code: str) -> None:
    answered, said, headers = served.ask(path, ROW, method=method)
    assert (answered, said["code"]) == (status, code)
    assert status != 405 or headers["allow"] in ("GET", "POST")


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("2113-05-03T12:00Z", "time_in_future"),
        ("2013-05-03T12:00Z", "decision_too_old"),
        ("2013-05-03T12:00", "wrong_time"),
        ("yesterday", "wrong_time"),
    ],
)
def test_a_decision_time_that_cannot_be_is_refused(served: Any, moment: str, code: str) -> None:
    status, said = served.predict(ROW, x_mainspring_at=moment)
    assert (status, said["code"], said["field"]) == (400, code, "x-mainspring-at")


def test_a_body_that_is_too_long_is_refused_before_it_is_read(served: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
    connection.putrequest("POST", "/predict/late")
    connection.putheader("content-length", str(9 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_chunked_body_is_answered_like_any_other(served: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
    connection.request("POST", "/predict/late", iter([b'{"id": "f1", "dista', b'nce": 1, "carrier": "UA"}']))
    assert connection.getresponse().status == 200
    connection.close()


def test_outcomes_are_taken_one_or_many_at_a_time(served: Any) -> None:
    before = len(served.records(Outcomes))
    rows = [{"id": "f1", "value": True}, {"id": "f2", "value": False, "known_at": "2013-05-03T12:00Z"}]
    assert served.ask("/outcomes/late", rows)[:2] == (202, {"accepted": 2})
    assert served.ask("/outcomes/late", {"id": "f3", "value": True})[0] == 202
    served.wait(lambda: len(served.records(Outcomes)) == before + 2)
    taken = served.records(Outcomes)[before]
    assert (taken.entities, taken.values) == (("f1", "f2"), (1.0, 0.0))
    assert taken.known_us[1] == taken.event_us[1] == 1_367_582_400_000_000


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"id": "f1", "value": 1}, "wrong_type", "value"),
        ({"id": "f1"}, "missing_field", "value"),
        ({"value": True}, "missing_field", "id"),
        ({"id": "f1", "value": True, "known_at": "2113-01-01T00:00Z"}, "time_in_future", "known_at"),
        ({"id": "f1", "value": True, "event_time": "noon"}, "wrong_time", "event_time"),
    ],
)
def test_a_wrong_outcome_changes_nothing(served: Any, row: Any, code: str, field: str) -> None:
    before = len(served.records(Outcomes))
    status, said, _ = served.ask("/outcomes/late", row)
    assert (status, said["code"], said["field"]) == (400, code, field)
    assert len(served.records(Outcomes)) == before


def test_pushed_rows_are_spooled_as_a_list_whatever_they_came_as(served: Any) -> None:
    row = {"origin": "JFK", "observed_at": "2013-05-03T12:00:00Z", "temp": None}
    assert served.ask("/sources/weather", row)[:2] == (202, {"accepted": 1})
    served.wait(lambda: served.records(SourceRows))
    taken = served.records(SourceRows)[-1]
    assert taken.source == "src_1"
    assert taken.body == b'[{"origin": "JFK", "observed_at": "2013-05-03T12:00:00Z", "temp": null}]'


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"origin": "JFK", "observed_at": "2013-05-03T12:00:00", "temp": 1.0}, "wrong_time", "observed_at"),
        ({"origin": "JFK", "observed_at": "2113-05-03T12:00:00Z", "temp": 1.0}, "time_in_future", "observed_at"),
        ({"origin": "JFK", "observed_at": "2013-05-03T12:00:00Z", "temp": "hot"}, "wrong_type", "temp"),
        ({"origin": "JFK", "observed_at": "2013-05-03T12:00:00Z"}, "missing_field", "temp"),
    ],
)
def test_a_wrong_row_of_a_source_is_refused(served: Any, row: Any, code: str, field: str) -> None:
    status, said, _ = served.ask("/sources/weather", row)
    assert (status, said["code"], said["field"]) == (400, code, field)


def test_liveness_readiness_and_metrics_are_told(served: Any) -> None:
    assert served.ask("/live")[:2] == (200, {"live": True})
    assert served.ask("/ready")[:2] == (200, {"ready": True, "generation": 1})
    served.predict(ROW)
    text = served.ask("/metrics")[1]
    assert 'mainspring_generation{worker="gateway-0"} 1\n' in text
    assert 'mainspring_predict_seconds_bucket{project="flights",model="late",worker="gateway-0",le="+Inf"}' in text


def test_a_port_that_another_program_holds_is_refused(tmp_path: Path, served: Any) -> None:
    home = create_home(tmp_path / "home")
    command = [sys.executable, "-m", "mainspring.edges.gateway", "--home", str(home.root), "--port", str(served.port)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert done.returncode == 1
    assert b"port: the port cannot be used" in done.stderr


@pytest.mark.parametrize("path", ["/predict/late", "/outcomes/late", "/sources/weather"])
@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1"])
def test_a_page_in_somebodys_browser_may_not_ask(served: Any, path: str, origin: str) -> None:
    before = len(served.records())
    status, said, _ = served.ask(path, ROW, origin=origin, content_type="text/plain")
    assert (status, said["code"], said["field"]) == (403, "refused", "origin")
    assert len(served.records()) == before
