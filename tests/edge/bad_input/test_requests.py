"""Requests, outcomes and pushed rows that cannot be taken: refused by name and code, and nothing is logged."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

OK = b'{"trip": "t1", "place": "a", "price": 1.5}'
DEEP = b"[" * 100_000 + b"]" * 100_000
SHAPE = "send one JSON object, or a list of objects"
NUMBER = "must be a number or null"
FINITE = "is not a finite number"
NULL = "send null if it is missing"


def price(literal: bytes) -> bytes:
    return OK.replace(b"1.5", literal)


@pytest.fixture(scope="module", autouse=True)
def unchanged(running: Any) -> Iterator[None]:
    """Whatever the tests of this file send, it leaves no trace."""
    before = running.state()
    yield
    assert running.state() == before


REQUESTS = {
    "missing": (b'{"trip": "t1", "price": 1}', "missing_field", "place: is missing; send every column"),
    "extra": (OK[:-1] + b', "prize": 1}', "unknown_field", "prize: is not a column here; did you mean 'price'?"),
    "text": (price(b'"1.5"'), "wrong_type", f"price: {NUMBER} (got '1.5')"),
    "truth": (price(b"true"), "wrong_type", f"price: {NUMBER} (got True)"),
    "null": (OK.replace(b'"a"', b"null"), "wrong_type", "place: must be text (got 'null')"),
    "list": (price(b"[1]"), "wrong_type", f"price: {NUMBER} (got [1])"),
    "number for text": (OK.replace(b'"a"', b"7"), "wrong_type", "place: must be text (got 7)"),
    "in a list": (b"[" + OK + b"," + price(b'"x"') + b"]", "wrong_type", f"[1].price: {NUMBER} (got 'x')"),
    "NaN": (price(b"NaN"), "not_finite", f"price: {FINITE} (got nan); {NULL}"),
    "Infinity": (price(b"Infinity"), "not_finite", f"price: {FINITE} (got inf); {NULL}"),
    "-Infinity": (price(b"-Infinity"), "not_finite", f"price: {FINITE} (got -inf); {NULL}"),
    "1e400": (price(b"1e400"), "not_finite", f"price: {FINITE}; send a number below 1.8e308"),
    "10^400": (price(b"1" + b"0" * 400), "not_finite", f"price: {FINITE}; send a number below 1.8e308"),
    "10^5000": (price(b"1" + b"0" * 5_000), "not_finite", f"price: {FINITE}; send a number below 1.8e308"),
    "given twice": (OK[:-1] + b', "place": "b"}', "duplicate_field", "place: is given twice; give each column once"),
    "twice in a list": (
        b"[" + OK + b"," + OK[:-1] + b',"trip":"x:y"}]', "duplicate_field",
        "[1].trip: is given twice; give each column once",
    ),
    "deep in a field": (price(DEEP), "wrong_type", f"price: {NUMBER} (got 'array')"),
    "nearly too deep": (price(b"[" * 985 + b"]" * 985), "wrong_type", None),
    "deep in an unknown field": (b'{"a": ' + DEEP + b"}", "unknown_field", None),
    "deep": (DEEP, "wrong_type", f"[0]: is not a JSON object (got 'array'); {SHAPE}"),
    "lone surrogate": (OK.replace(b'"a"', b'"\\ud800"'), "not_json", None),
    "not UTF-8": (OK.replace(b'"a"', b'"\xff"'), "not_json", f"the body is not UTF-8 text; {SHAPE}"),
    "UTF-16": (OK.decode().encode("utf-16"), "not_json", None),
    "empty": (b"", "not_json", f"the body is empty; {SHAPE}"),
    "blank": (b" \n", "not_json", f"the body is empty; {SHAPE}"),
    "a form": (b"trip=t1&price=2", "not_json", None),
    "two objects": (OK + OK, "not_json", None),
    "nothing": (b"null", "wrong_type", f"body: is not a JSON object (got 'null'); {SHAPE}"),
    "a number": (b"7", "wrong_type", f"body: is not a JSON object (got 'int'); {SHAPE}"),
    "no rows": (b"[]", "no_rows", "body: the list is empty; send at least one row"),
    "zipped": (gzip.compress(OK), "not_json", None),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_cannot_be_read_is_refused_by_name(running: Any, case: str) -> None:
    body, code, sentence = REQUESTS[case]
    status, said = running.gateway("POST", "/predict/slow", body)
    assert (status, said["code"]) == (400, code)
    assert said["message"].count("\n") == 0
    assert sentence is None or said["message"] == sentence


def test_more_rows_than_one_request_may_carry_are_refused(running: Any) -> None:
    status, said = running.gateway("POST", "/predict/slow", b"[" + b",".join([OK] * 10_001) + b"]")
    assert (status, said["code"]) == (413, "too_large")
    assert said["message"].startswith("body: has too many rows (got 10001); send at most ")


def test_more_bytes_than_one_request_may_carry_are_refused_as_they_come(running: Any) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(b"POST /predict/slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(9):
                line.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        except ConnectionError:
            pass  # the answer came before the end
        said = line.recv(10_000)
    assert said.startswith(b"HTTP/1.1 413")
    assert b'"code":"too_large","message":"body: the body is too long (got ' in said


ADDRESSES = {
    "unknown model": ("POST", "/predict/slaw", 404, "not_found", "did you mean 'slow'?"),
    "unknown project": ("POST", "/predict/slow?project=tripz", 404, "not_found", "did you mean 'trips'?"),
    "unknown version": ("POST", "/predict/slow?version=9", 404, "not_found", "known: 1"),
    "a version that is no number": ("POST", "/predict/slow?version=%C2%B2", 404, "not_found", "known: 1"),
    "an endless version": ("POST", "/predict/slow?version=" + "9" * 5_000, 404, "not_found", "known: 1"),
    "a blank version": ("POST", "/predict/slow?version=", 404, "not_found", "known: 1"),
    "unknown argument": ("POST", "/predict/slow?verson=1", 400, "unknown_argument", "did you mean 'version'?"),
    "argument twice": ("POST", "/predict/slow?version=1&version=2", 400, "duplicate_argument", "give each once"),
    "no model": ("POST", "/predict/", 404, "not_found", "ask /predict/{name}"),
    "unknown path": ("POST", "/predikt/slow", 404, "not_found", "did you mean '/predict/{name}'?"),
    "a path that climbs": ("POST", "/predict/../predict/slow", 404, "not_found", "ask /predict/{name}"),
    "a zero byte": ("POST", "/predict/%00", 404, "not_found", "known: slow"),
    "wrong method": ("GET", "/predict/slow", 405, "wrong_method", "use POST"),
    "unknown method": ("BREW", "/predict/slow", 405, "wrong_method", "use POST"),
    "unknown source": ("POST", "/sources/click", 404, "not_found", "did you mean 'clicks'?"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_address_that_is_none_is_refused_with_the_nearest(running: Any, case: str) -> None:
    method, path, expected, code, remedy = ADDRESSES[case]
    status, said = running.gateway(method, path, OK)
    assert (status, said["code"], said["remedy"]) == (expected, code, remedy)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused_unread(running: Any, encoding: str) -> None:
    status, said = running.gateway("POST", "/predict/slow", gzip.compress(OK), content_encoding=encoding)
    assert (status, said["code"], said["field"]) == (415, "wrong_encoding", "content-encoding")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: -5", b"content-length: many", b"content-length: 99999999999999999999999",
        b"content-length: 10\r\ncontent-length: 20", b"content-length: 5", b"transfer-encoding: gzip",
        b"content-length: 9000000", b"x: 1",
    ],
)  # fmt: skip
def test_a_wrong_length_is_refused(running: Any, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(b"POST /predict/slow HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n" + OK)
        assert line.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


MOMENTS = {
    "2113-01-01T00:00Z": ("time_in_future", "lies in the future"),
    "2026-03-01T12:01Z": ("time_in_future", "lies in the future"),
    "2026-02-28T11:59Z": ("decision_too_old", "the decision time is too old"),
    "2026-03-01T12:00": ("wrong_time", "a time needs a zone"),
    "2026-02-30T12:00Z": ("wrong_time", "is not an ISO 8601 time"),
    "noon": ("wrong_time", "is not an ISO 8601 time"),
    "": ("wrong_time", "is not an ISO 8601 time"),
    "9999-12-31T23:59:59-23:59": ("wrong_time", "lies outside the years 1 to 9999"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_decision_time_that_cannot_be_is_refused(running: Any, moment: str) -> None:
    code, what = MOMENTS[moment]
    status, said = running.gateway("POST", "/predict/slow", OK, x_mainspring_at=moment)
    assert (status, said["code"], said["field"]) == (400, code, "x-mainspring-at")
    assert said["message"].startswith(f"x-mainspring-at: {what} (got '{moment}'); ")


OUTCOMES: dict[str, tuple[Any, str, str]] = {
    "a number": ({"trip": "t1", "value": 1}, "wrong_type", "value: must be true or false (got 1)"),
    "a text": ({"trip": "t1", "value": "yes"}, "wrong_type", "value: must be true or false (got 'yes')"),
    "null": ({"trip": "t1", "value": None}, "wrong_type", "value: must be true or false (got 'null')"),
    "no value": ({"trip": "t1"}, "missing_field", "value: is missing; send every column"),
    "no entity": ({"value": True}, "missing_field", "trip: is missing; send every column"),
    "misspelt": (
        {"trip": "t1", "value": True, "known": "x"}, "unknown_field",
        "known: is not a column here; did you mean 'known_at'?",
    ),
    "future": (
        {"trip": "t1", "value": True, "known_at": "2026-03-02T00:00Z"}, "time_in_future",
        "known_at: lies in the future (got '2026-03-02T00:00Z'); state a time that has come",
    ),
    "future event": (
        [{"trip": "t1", "value": True, "event_time": "2027-01-01T00:00Z"}], "time_in_future",
        "[0].event_time: lies in the future (got '2027-01-01T00:00Z'); state a time that has come",
    ),
    "no zone": (
        {"trip": "t1", "value": True, "event_time": "2026-02-01T00:00"}, "wrong_time",
        "event_time: a time needs a zone (got '2026-02-01T00:00'); append Z for UTC",
    ),
    "time as number": (
        {"trip": "t1", "value": True, "event_time": 5}, "wrong_type", "event_time: must be text (got 5)",
    ),
    "no rows": ([], "no_rows", "body: the list is empty; send at least one row"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES)
def test_an_outcome_of_the_wrong_type_or_time_is_refused(running: Any, case: str) -> None:
    outcome, code, sentence = OUTCOMES[case]
    status, said = running.gateway("POST", "/outcomes/slow", json.dumps(outcome).encode())
    assert (status, said["code"], said["message"]) == (400, code, sentence)


PUSHED: dict[str, tuple[Any, str, str]] = {
    "no zone": ({"user": "u", "at": "2026-02-01T00:00", "price": 1}, "wrong_time", "at"),
    "future": ({"user": "u", "at": "2026-03-01T11:30Z", "price": 1}, "time_in_future", "at"),
    "mistyped": ({"user": 7, "at": "2026-02-01T00:00Z", "price": 1}, "wrong_type", "user"),
    "missing": ({"user": "u", "price": 1}, "missing_field", "at"),
    "extra": ({"user": "u", "at": "2026-02-01T00:00Z", "price": 1, "c": 1}, "unknown_field", "c"),
    "NaN": ({"user": "u", "at": "2026-02-01T00:00Z", "price": float("nan")}, "not_finite", "price"),
}


@pytest.mark.parametrize("case", PUSHED)
def test_a_pushed_row_that_does_not_fit_its_source_is_refused(running: Any, case: str) -> None:
    row, code, field = PUSHED[case]
    status, said = running.gateway("POST", "/sources/clicks", json.dumps([row]).encode())
    assert (status, said["code"], said["field"]) == (400, code, f"[0].{field}")


def test_a_body_that_never_comes_whole_is_given_up(running: Any) -> None:
    answer = running.slow_line.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"slow_body","message":"body: did not come within 10 s' in answer
