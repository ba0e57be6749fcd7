"""Calls of the control API that are refused at its door or by its arguments, and change nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

START = "/api/release/start"
ASKED = b'{"model": "slow", "version": "2", "reason": "try it"}'


@pytest.fixture(scope="module", autouse=True)
def unchanged(running: Any) -> Iterator[None]:
    before = running.state()
    yield
    assert running.state() == before


DOORS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no token": ({"authorization": None}, 401, "authorization"),
    "a wrong token": ({"authorization": "Bearer x"}, 401, "authorization"),
    "no header of intent": ({"x_mainspring_request": None}, 403, "x-mainspring-request"),
    "another origin": ({"origin": "https://evil.example"}, 403, "origin"),
    "the null origin": ({"origin": "null"}, 403, "origin"),
    "another site": ({"sec_fetch_site": "cross-site"}, 403, "sec-fetch-site"),
    "nobody": ({"x_mainspring_actor": None}, 400, "x-mainspring-actor"),
    "a line break for a name": ({"x_mainspring_actor": "eve%0Aroot"}, 400, "x-mainspring-actor"),
    "a form": ({"content_type": "application/x-www-form-urlencoded"}, 400, "content-type"),
    "text": ({"content_type": "text/plain"}, 400, "content-type"),
}


@pytest.mark.parametrize("case", DOORS)
def test_a_change_without_every_proof_is_refused(running: Any, case: str) -> None:
    headers, expected, field = DOORS[case]
    status, said = running.control("POST", START, ASKED, **headers)
    assert (status, said["field"]) == (expected, field)
    assert said["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_not_answered(running: Any, host: str) -> None:
    status, said = running.control("POST", START, ASKED, host=host)
    assert (status, said["code"]) == (421, "refused")


BODIES = {
    "given twice": (b'{"model": "slow", "model": "x"}', "model", "model: is given twice; give each key once"),
    "unknown argument": (
        ASKED[:-1] + b', "polcy": 1}',
        "polcy",
        "polcy: there is no such argument; did you mean 'policy'?",
    ),
    "misspelt argument": (b'{"modle": "slow"}', "modle", "modle: there is no such argument; did you mean 'model'?"),
    "missing argument": (b'{"model": "slow", "reason": "x"}', "version", "version: is missing; give it a value"),
    "mistyped argument": (ASKED.replace(b'"2"', b"2"), "version", "version: must be text (got 2)"),
    "blank reason": (ASKED.replace(b"try it", b" \\t"), "reason", "reason: is empty; say why in a few words"),
    "NaN": (b'{"model": NaN}', "body", "body: is not a number that JSON knows (got 'NaN')"),
    "lone surrogate": (b'{"model": "\\ud800"}', "body", "body: is not JSON; send one JSON object in UTF-8"),
    "deep": (b'{"model": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "body", "body: is not JSON; send one JSON object"),
    "a list": (b"[1]", "body", "body: must be one JSON object (got 'list')"),
    "nothing": (b"", "body", "body: is not JSON; send one JSON object in UTF-8"),
    "too large": (b'{"model": "' + b"x" * 70_000 + b'"}', "body", "body: is too large; send at most 65536 bytes"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_call_that_cannot_be_read_is_refused_by_name(running: Any, case: str) -> None:
    body, field, sentence = BODIES[case]
    status, said = running.control("POST", START, body)
    assert (status, said["code"], said["field"]) == (400, "invalid_input", field)
    assert said["message"].startswith(sentence)


QUERIES = {
    "/api/versions": (400, "model: is missing; give it a value"),
    "/api/versions?modle=slow": (400, "modle: there is no such argument; did you mean 'model'?"),
    "/api/versions?model=slow&model=slow": (400, "query: an argument is given twice"),
    "/api/ledger/list?limit=many": (400, "limit: must be a whole number (got 'many')"),
    "/api/ledger/list?limit=-1": (400, "limit: must be a whole number >= 1 (got '-1')"),
    "/api/versions?model=slaw": (404, "model: there is no such model (got 'slaw'); did you mean 'slow'?"),
    "/api/versoins?model=slow": (404, "there is no such address"),
    "/api/release/start": (405, "this address does not take that method"),
}


@pytest.mark.parametrize("path", QUERIES)
def test_a_question_that_cannot_be_read_is_refused_by_name(running: Any, path: str) -> None:
    expected, sentence = QUERIES[path]
    status, said = running.control("GET", path)
    assert (status, said["message"][: len(sentence)]) == (expected, sentence)


@pytest.mark.parametrize("head", [b"\x00\x01\x02", b"GET", b"GET /live HTTP/1.1\r\nhost: a\r\nhost: b"])
def test_what_is_not_http_is_refused(running: Any, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.control_port), timeout=5) as line:
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(1_000).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
