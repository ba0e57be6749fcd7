"""``/ping`` and ``/invocations`` as SageMaker asks a container: content types in, content types out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Request
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

EXPECTED = [0.8807971, 0.2689414]
PLAIN = b"f1,100,10,true,,UA,2013-05-03T12:00Z\nf2,-1e2,0,False,3.5,,\n"
NAMED = b'hour,id,distance,night\r\n10,f1,100,true\r\n0,"f2",-100.0,false\r\n'
LINES = (
    b'{"id": "f1", "distance": 100, "hour": 10, "night": true, "wind": null, "carrier": "UA", "sched": null}\n\n'
    b'{"id": "f2", "distance": -100, "hour": 0, "night": false, "wind": 3.5, "carrier": null, "sched": null}'
)  # fmt: skip


def ask(served: Any, body: Any, kind: str, accept: str = "*/*", **headers: str) -> tuple[int, Any, dict[str, str]]:
    answer: tuple[int, Any, dict[str, str]] = served.ask(
        "/invocations", body, content_type=kind, accept=accept, **headers
    )
    return answer


def test_a_container_that_can_answer_says_so(served: Any) -> None:
    assert served.ask("/ping")[0] == 200
    assert served.ask("/health")[0] == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PLAIN, "text/csv"), (NAMED, "text/csv; charset=utf-8"), (PLAIN, "text/csv; header=absent"),
        (b"\xef\xbb\xbf" + NAMED, "text/csv;header=present"), (LINES, "application/jsonlines"),
        (LINES, "application/x-ndjson"),
        (json.dumps({"inputs": [json.loads(line) for line in LINES.split(b"\n\n")]}).encode(), "application/json"),
    ],
)  # fmt: skip
def test_every_content_type_is_read_into_the_same_rows(served: Any, body: bytes, kind: str) -> None:
    status, said, headers = ask(served, body, kind)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert [one["value"] for one in said["predictions"]] == pytest.approx(EXPECTED, abs=1e-6)


def test_the_answer_is_written_as_it_is_accepted(served: Any) -> None:
    _, said, headers = ask(served, PLAIN, "text/csv", "text/csv")
    lines = [line.split(",") for line in said.splitlines()]
    assert [float(value) for value, _ in lines] == pytest.approx(EXPECTED, abs=1e-6)
    assert [decision for _, decision in lines] == ["true", "false"]
    assert headers["content-type"] == "text/csv; charset=utf-8"
    _, said, headers = ask(served, PLAIN, "text/csv", "application/jsonlines, */*;q=0.1")
    answers = [msgspec.json.decode(line) for line in said.splitlines()]
    assert [one["version"] for one in answers] == [1, 1]
    assert headers["content-type"] == "application/jsonlines"
    _, said, _ = ask(served, PLAIN, "text/csv", "text/csv", x_mainspring_version="2")
    assert [float(line) for line in said.splitlines()] == pytest.approx([0.549834, 0.4750208], abs=1e-6)


def test_rows_of_csv_are_logged_as_any_others(served: Any) -> None:
    _, _, headers = ask(served, PLAIN, "text/csv", idempotency_key="once", x_mainspring_caller="sagemaker")
    id = headers["x-mainspring-prediction-id"]
    served.wait(lambda: any(one.prediction_id == id for one in served.records(Request)))
    logged = next(one for one in served.records(Request) if one.prediction_id == id)
    assert (logged.idempotency_key, logged.caller, logged.units) == ("once", "sagemaker", ("f1", "f2"))
    assert json.loads(logged.body)[1] == {
        "id": "f2", "distance": -100.0, "hour": 0, "night": False, "wind": 3.5, "carrier": None, "sched": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: the list is empty"),
        (b"f1,100\n", "[0]: has 2 values where there are 7 columns"),
        (PLAIN.replace(b"10,", b"1.5,", 1), "[0].hour: must be a whole number (got '1.5')"),
        (PLAIN.replace(b"100,", b"1_000,", 1), "[0].distance: must be a number (got '1_000')"),
        (PLAIN.replace(b"100,", b"nan,", 1), "[0].distance: must be a number (got 'nan')"),
        (PLAIN.replace(b"100,", b"inf,", 1), "[0].distance: must be a number (got 'inf')"),
        (PLAIN.replace(b"100,", b"1e400,", 1), "[0].distance: must be a number (got '1e400')"),
        (PLAIN.replace(b"100,", b"0x10,", 1), "[0].distance: must be a number (got '0x10')"),
        (PLAIN.replace(b"100,", b",", 1), "[0].distance: must be a number (got 'null')"),
        (PLAIN.replace(b"10,true", b"9223372036854775808,true"), "[0].hour: does not fit in 64 bits"),
        (PLAIN.replace(b"10,true", b"9" * 5_000 + b",true"), "[0].hour: must be a whole number"),
        (PLAIN.replace(b"true", b"yes"), "[0].night: must be true or false (got 'yes')"),
        (PLAIN.replace(b"3.5", b"calm"), "[1].wind: must be a number or empty (got 'calm')"),
        (b"\xff", "the body is not UTF-8 text"),
        (b'"f1', "the body is not CSV"),
        (b'"' + b"a" * 200_000 + b'"', "the body is not CSV"),
        (NAMED.replace(b"night", b"hour"), "hour: is given twice"),
        (NAMED.replace(b"night", b"nigth"), "nigth: is not a column here; did you mean 'night'?"),
    ],
)  # fmt: skip
def test_csv_that_does_not_fit_is_refused_by_row_and_column(served: Any, body: bytes, message: str) -> None:
    status, said, _ = ask(served, body, "text/csv")
    assert (status, said["error_code"]) == (400, "BAD_REQUEST")
    assert said["message"].startswith(message)


@pytest.mark.parametrize(
    "body", [b'{"id": "f1"}', LINES.replace(b"\n\n", b","), b"7", b"[]", b"{}{}", b'{"a":', b"[" * 100_000]
)
def test_lines_that_are_not_one_object_each_are_refused(served: Any, body: bytes) -> None:
    status, said, _ = ask(served, body, "application/jsonlines")
    assert (status, said["error_code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("kind", "accept"),
    [
        ("image/png", "*/*"), ("text/csv; charset=latin-1", "*/*"), ("", "*/*"),
        ("text/csv", "image/png"), ("application/x-parquet", "*/*"),
    ],
)  # fmt: skip
def test_a_content_type_that_nobody_reads_or_writes_is_refused(served: Any, kind: str, accept: str) -> None:
    status, said, _ = ask(served, PLAIN, kind, accept)
    assert (status, said["error_code"]) == (415, "BAD_REQUEST")


def test_which_of_several_models_answers_is_never_guessed(new_site: Any, tmp_path: Any) -> None:
    site = new_site(tmp_path / "home")
    try:
        inputs = (Column("distance", "float"),)
        champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), inputs)
        late = model_route(champion)
        early = msgspec.structs.replace(late, model="mdl_2", name="early")
        both = msgspec.structs.replace(routing(1, late, [champion]), models=(late, early))
        site.publish(both)
        site.gateway()
        site.ready(1)
        row = b"f1,100,UA\n"
        status, said, _ = ask(site, row, "text/csv")
        assert status == 400
        assert said["message"] == (
            "model: several models are loaded and none is named; "
            "send x-mainspring-model, or set invocations_model; known: flights/early, flights/late"
        )
        assert ask(site, row, "text/csv", x_mainspring_model="late")[0] == 200
        assert ask(site, row, "text/csv", x_mainspring_model="flights/early")[0] == 200
        assert ask(site, row, "text/csv", x_mainspring_model="trains/early")[0] == 404
        site.publish(msgspec.structs.replace(both, generation=2, invocations="flights/early"))
        site.ready(2)
        assert ask(site, row, "text/csv")[0] == 200
        site.wait(lambda: len(site.records(Request)) == 3)
        assert [one.model for one in site.records(Request)] == ["mdl_1", "mdl_2", "mdl_2"]
    finally:
        site.stop()
