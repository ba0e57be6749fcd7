"""Verbs over HTTP: what they do, and what bad input gets."""

from typing import Any

import pytest

from mainspring.edges.person import local_user

ANA = f"ana, said by {local_user()} (user)"


def entries(platform: Any) -> int:
    from mainspring.ledger.queries import entries as read

    with platform.store.read() as connection:
        return len(read(connection))


def test_an_alias_is_set_with_actor_and_reason_in_the_ledger(ask: Any) -> None:
    body = {"model": "late", "alias": "spare", "version": "1", "reason": "kept for comparison"}
    assert ask("POST", "/api/alias/set", body)[:2] == (200, {"model": "late", "alias": "spare", "version": 1})
    entry = ask("GET", "/api/ledger/list?kind=alias&limit=1")[1][0]
    assert (entry["actor"], entry["reason"], entry["numbers"]["to"]) == (ANA, "kept for comparison", 1)
    assert entry["about"] == "spare of late: none → 1"


def test_an_actors_name_may_be_in_any_script(ask: Any) -> None:
    body = {"model": "late", "alias": "second", "version": "2", "reason": "r"}
    assert ask("POST", "/api/alias/set", body, X_Mainspring_Actor="%C3%84nne%20%E6%9D%8E")[0] == 200
    assert ask("GET", "/api/ledger/list?limit=1")[1][0]["actor"] == ANA.replace("ana", "Änne 李")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"alias": "spare", "version": "1", "reason": "r"}, 400, "invalid_input", "model"),
        ({"model": "late", "alias": "spare", "version": "1"}, 400, "invalid_input", "reason"),
        ({"model": "late", "alias": "spare", "version": 1, "reason": "r"}, 400, "invalid_input", "version"),
        ({"model": "late", "alias": "a", "version": "1", "reason": "r", "resaon": "r"}, 400, "invalid_input", "resaon"),
        ({"model": "lat", "alias": "spare", "version": "1", "reason": "r"}, 404, "not_found", "model"),
        ({"model": "late", "alias": "spare", "version": "7", "reason": "r"}, 404, "not_found", "version"),
        ({"model": "late", "alias": "third", "version": "1", "reason": " "}, 400, "invalid_input", "reason"),
        (b'{"model": "late", "model": "late"}', 400, "invalid_input", "model"),
        (b'{"model": NaN}', 400, "invalid_input", "body"),
        (b"[]", 400, "invalid_input", "body"),
        (b"model=late", 400, "invalid_input", "body"),
        (b" " * 70_000, 400, "invalid_input", "body"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    ask: Any, platform: Any, body: Any, status: int, code: str, field: str
) -> None:
    before = entries(platform)
    found, answer, _ = ask("POST", "/api/alias/set", body)
    assert (found, answer["code"], answer["field"]) == (status, code, field)
    assert "\n" not in answer["message"]
    assert entries(platform) == before


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_must_say_that_it_is_json(ask: Any, kind: str | None) -> None:
    assert ask("POST", "/api/loop/ingest", {}, Content_Type=kind)[1]["field"] == "content-type"


@pytest.mark.parametrize("actor", [None, "", "%0A", "a" * 81])
def test_a_change_needs_an_actor(ask: Any, actor: str | None) -> None:
    assert ask("POST", "/api/loop/ingest", {}, X_Mainspring_Actor=actor)[1]["field"] == "x-mainspring-actor"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/ledger/list?limit=0", "limit"),
        ("/api/ledger/list?limit=many", "limit"),
        ("/api/ledger/list?limt=3", "limt"),
        ("/api/ledger/list?limit=3&limit=4", "query"),
        ("/api/ledger/at?time=yesterday", "time"),
        ("/api/ledger/at?time=2013-05-03T12:00", "time"),
        ("/api/ledger/at?time=9998-05-03T12:00Z", "time"),
        ("/api/versions", "model"),
    ],
)
def test_a_bad_query_is_named(ask: Any, path: str, field: str) -> None:
    status, answer, _ = ask("GET", path)
    assert (status, answer["code"], answer["field"]) == (400, "invalid_input", field)


def test_a_fault_of_ours_shows_an_id_and_nothing_else(ask: Any, platform: Any) -> None:
    tables, platform.registry = platform.registry, None
    try:
        status, answer, _ = ask("GET", "/api/models")
    finally:
        platform.registry = tables
    assert status == 500
    assert set(answer) == {"code", "message", "id"}
    assert "NoneType" not in answer["message"]


def test_reads_and_checks_of_the_chain_agree(ask: Any, platform: Any) -> None:
    verdict = ask("GET", "/api/ledger/verify")[1]
    assert (verdict["heads"], verdict["tail"][:33]) == (0, "whether entries are missing from ")
    assert verdict["verified"] is True
    assert ask("GET", "/api/ledger/head")[1] == {"entries": entries(platform), "head": verdict["head"]}
    assert ask("GET", f"/api/ledger/verify?head=1:{'0' * 63}1")[1]["code"] == "damaged"
