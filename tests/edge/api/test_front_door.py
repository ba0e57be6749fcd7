"""The matrix of the front door: every route, with and without each proof that it asks for."""

import socket
from base64 import b64encode
from typing import Any

import pytest

from mainspring.edges.api.address import new_address
from mainspring.edges.api.app import route_table
from mainspring.edges.api.guard import Locks
from mainspring.edges.verbs import VERBS
from mainspring.edges.web.pages import PAGES

LOCKS = Locks(new_address("127.0.0.1", 1), closed=False, keys=tuple, now_us=lambda: 0)
READS = [verb for verb in VERBS if not verb.mutates]
CHANGES = [verb for verb in VERBS if verb.mutates]
OPEN = {
    "/", "/live", "/style.css", "/order.js", "/live.js", "/icon.svg", "/models/{project}/{model}", "/releases/{id}",
    "/versions/{id}", "/rehearsals/{id}", "/alarms", "/alarms/{id}", "/predictions", "/ledger", "/ledger/{seq}",
    "/ledger/at/{time}", "/ledger/before/{before}", "/ledger/kind/{kind}", "/ledger/about/{subject}",
}  # fmt: skip
PRIVATE = [page.path for page in PAGES if page.private]


def by_path(verb: Any) -> str:
    return str(verb.path)


def test_only_the_page_and_live_are_open(platform: Any) -> None:
    assert {entry.path for entry in route_table(platform, LOCKS) if entry.permission == "open"} == OPEN
    assert {entry.method for entry in route_table(platform, LOCKS) if entry.permission == "open"} == {"GET"}


def test_pages_of_peoples_data_and_of_work_need_a_token_and_answer_no_other_site(ask: Any) -> None:
    assert len(PRIVATE) == 7
    for path in PRIVATE:
        page = path.format(project="flights", model="late", id="none")
        status, _, headers = ask("GET", page, Authorization=None)
        assert (path, status) == (path, 401)
        assert headers["www-authenticate"].startswith("Basic ")
        wrong = b64encode(b"me:a guess").decode()
        assert ask("GET", page, Authorization=f"Basic {wrong}")[0] == 401
        assert ask("GET", page)[0] in (200, 404)
        assert ask("GET", page, **{"Sec-Fetch-Site": "cross-site"})[0] == 401


@pytest.mark.parametrize("token", [None, "Bearer", "Bearer wrong", "Basic x", "bearer {token}", "Bearer {token} "])
@pytest.mark.parametrize("verb", VERBS, ids=by_path)
def test_no_verb_answers_without_the_exact_token(ask: Any, verb: Any, token: str | None) -> None:
    given = token.format(token=ask.token).rstrip() + "x" * token.endswith(" ") if token else None
    status, body, _ = ask(
        "POST" if verb.mutates else "GET", verb.path, {} if verb.mutates else None, Authorization=given
    )
    assert (status, body["code"], body["field"]) == (401, "refused", "authorization")


def test_the_description_of_the_api_asks_for_the_token_too(ask: Any) -> None:
    assert ask("GET", "/api/openapi.json", Authorization=None)[0] == 401
    assert ask("GET", "/api/openapi.json")[1]["openapi"] == "3.1.0"


@pytest.mark.parametrize("verb", CHANGES, ids=by_path)
@pytest.mark.parametrize(
    ("header", "value", "field"),
    [
        ("X_Mainspring_Request", None, "x-mainspring-request"),
        ("X_Mainspring_Request", "yes", "x-mainspring-request"),
        ("Sec_Fetch_Site", "cross-site", "sec-fetch-site"),
        ("Sec_Fetch_Site", "same-site", "sec-fetch-site"),
        ("Origin", "https://evil.example", "origin"),
        ("Origin", "null", "origin"),
    ],
)
def test_no_change_answers_to_another_site(ask: Any, verb: Any, header: str, value: str | None, field: str) -> None:
    status, body, _ = ask("POST", verb.path, {}, **{header: value})
    assert (status, body["code"], body["field"]) == (403, "refused", field)


@pytest.mark.parametrize("verb", VERBS, ids=by_path)
def test_a_verb_takes_its_own_method_only(ask: Any, verb: Any) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - {"POST" if verb.mutates else "GET"}:
        assert ask(method, verb.path)[0] == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "a@127.0.0.1:{port}", ""])
@pytest.mark.parametrize("path", ["/", "/live", "/api/status"])
def test_another_host_is_not_answered(ask: Any, path: str, host: str) -> None:
    assert ask("GET", path, Host=host.format(port=ask.port))[0] == 421


def test_localhost_is_answered(ask: Any) -> None:
    assert ask("GET", "/live", Host=f"localhost:{ask.port}")[:2] == (200, {"live": True})


@pytest.mark.parametrize(
    "path",
    ["/api/status/", "//api/status", "/API/status", "/api/../api/status", "/api/status;x", "/api/%73tatus%00", "/x"],
)
def test_a_target_that_is_not_exactly_a_route_is_none(ask: Any, path: str) -> None:
    assert ask("GET", path)[0] in (404, 421)


def test_two_hosts_are_not_answered(ask: Any) -> None:
    lines = [b"GET /live HTTP/1.1", b"Host: 127.0.0.1:%d" % ask.port, b"Host: evil", b"Connection: close", b"", b""]
    with socket.create_connection(("127.0.0.1", ask.port), timeout=5) as line:
        line.sendall(b"\r\n".join(lines))
        answer = line.recv(1_000)
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))


@pytest.mark.parametrize("path", ["/", "/live", "/style.css", "/nothing", "/api/status", "/models/a/b"])
def test_every_answer_carries_the_headers_of_the_browsers_guard(ask: Any, path: str) -> None:
    _, _, headers = ask("GET", path, Authorization=None)
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
