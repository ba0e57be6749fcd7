"""Policies as data over HTTP: every strategy is set, shown, started, changed, and refused with the reason."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.edge.api.conftest import Client, declare

from mainspring.adapters.home import create_home
from mainspring.edges.api.server import ControlServer
from mainspring.platform import Platform, open_platform

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[dict[str, Any], str, str]]] = {
    "immediate": (
        {"approval": {"role": ""}, "deadline": "3d"},
        {"deadline": "4d"},
        ({"deadline": "1d"}, "deadline", "may only become longer than 4d"),
    ),
    "blue_green": ({"keep": "6h"}, {"keep": "12h"}, ({"keep": "1h"}, "keep", "may only become longer than 12h")),
    "shadow": (
        {"shadow": "7d", "slices": ["origin"]},
        {"slices": ["carrier"], "minimum_units": 900},
        ({"sample": 0.5}, "sample", "what evidence is judged by was agreed before the first row"),
    ),
    "canary": (
        {"steps": [0.1, 0.4], "guards": [{"type": "slower_than", "limit": "50ms"}]},
        {"steps": [0.05, 0.2], "hold": "2d"},
        ({"steps": [0.1]}, "steps", "a share that was agreed cannot be left out"),
    ),
    "ab_test": (
        {"share": 0.4, "high": 40.0, "metrics": [{"type": "failures", "margin": 0.02}]},
        {"horizon": "40d", "precision": 2.0},
        ({"share": 0.5}, "share", "units that changed sides would count for both"),
    ),
    "bandit": (
        {"algorithm": "top_two", "floor": 0.1, "confidence": 0.9},
        {"confidence": 0.99},
        ({"confidence": 0.8}, "confidence", "may only be raised above 0.99"),
    ),
    "champion_challenger": (
        {"shadow": "28d", "steps": [0.1]},
        {"approval": {"role": "risk", "not_starter": True}},
        ({"metric": "brier"}, "metric", "what evidence is judged by was agreed before the first row"),
    ),
}
WHY = "because it is tested"


@pytest.fixture(scope="module")
def releasing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = create_home(tmp_path_factory.mktemp("policies") / "home")
    with closing(open_platform(home)) as opened:
        declare(opened, 2)
        yield opened


@pytest.fixture(scope="module")
def ask(releasing: Platform) -> Iterator[Client]:
    with ControlServer(releasing) as server:
        yield Client(server.address.port, server.address.token)


def fields(ask: Client, target: str, strategy: str = "") -> dict[str, Any]:
    more = f"&strategy={strategy}" if strategy else ""
    status, found, _ = ask("GET", f"/api/policy/show?target={target}{more}")
    assert status == 200, found
    return {one["field"]: one for one in found}


@pytest.mark.parametrize("strategy", CASES)
def test_each_strategy_is_set_shown_started_changed_and_refused_with_its_reason(ask: Client, strategy: str) -> None:
    values, allowed, (wrong, field, reason) = CASES[strategy]
    policy = {"type": strategy, **values}
    status, shown, _ = ask("POST", "/api/policy/set", {"model": "late", "policy": policy, "reason": WHY})
    assert status == 200, shown
    assert shown == list(fields(ask, "late").values())
    assert all(fields(ask, "late")[name]["value"] != fields(ask, "late")[name]["default"] for name in values)
    status, started, _ = ask("POST", "/api/release/start", {"model": "late", "version": "2", "reason": WHY})
    assert (status, started["policy"]["type"]) == (200, strategy)
    release = started["id"]
    try:
        order = {"release": release, "reason": WHY}
        assert ask("POST", "/api/release/change", {**order, "policy": policy | allowed, "dry_run": True})[0] == 200
        assert fields(ask, release)[next(iter(allowed))]["value"] != next(iter(allowed.values()))
        status, changed, _ = ask("POST", "/api/release/change", {**order, "policy": policy | allowed})
        assert status == 200, changed
        now = fields(ask, release)
        assert {name: now[name]["value"] for name in allowed} == allowed
        assert not any(now[name]["fixed"] for name in allowed)
        assert now["type"]["fixed"]
        status, refused, _ = ask("POST", "/api/release/change", {**order, "policy": policy | allowed | wrong})
        assert (status, refused["field"]) == (409, field)
        assert reason in refused["message"]
        other = {"type": "bandit" if strategy != "bandit" else "canary"}
        status, refused, _ = ask("POST", "/api/release/change", {**order, "policy": other})
        assert (status, refused["field"]) == (409, "policy.type")
    finally:
        assert ask("POST", "/api/release/abort", {"release": release, "reason": WHY})[0] == 200


@pytest.mark.parametrize("strategy", CASES)
def test_a_form_learns_every_field_of_a_strategy_with_its_default(ask: Client, strategy: str) -> None:
    other = fields(ask, "late", strategy)
    assert other["type"]["value"] == strategy
    assert other["type"]["choices"] == list(CASES)
    assert all(one["kind"] for one in other.values())
    # what a form sends back unchanged is what was shown
    status, found, _ = ask(
        "POST", "/api/policy/set",
        {"model": "late", "policy": {name: one["value"] for name, one in other.items()}, "reason": WHY},
    )  # fmt: skip
    assert status == 200 or "already" in found["message"], found


BAD = {
    "no strategy": ({"type": "canari"}, "policy.type", "did you mean 'canary'"),
    "an unknown field": ({"type": "canary", "step": [0.1]}, "policy.step", "did you mean 'steps'"),
    "steps that shrink": ({"type": "canary", "steps": [0.5, 0.1]}, "steps", "must grow from step to step"),
    "a horizon before the window": ({"type": "ab_test", "horizon": "1d"}, "horizon", "ends before one unit's window"),
    "a floor for half": ({"type": "bandit", "floor": 0.6}, "floor", "must be a number above 0 and below 0.5"),
    "an empty one": ({}, "policy.type", "is not a strategy"),
    "a margin that nothing exceeds": (
        {"type": "canary", "metric": "error", "margin": 1},
        "margin",
        "anything would pass",
    ),
    "no steps": ({"type": "canary", "steps": []}, "steps", "needs at least one share"),
    "a number beyond numbers": ({"type": "ab_test", "high": 1e308}, "high", "of at most 1e+100"),
    "a long number": ({"type": "shadow", "minimum_units": 2**63}, "minimum_units", "must be at most 1e+12"),
    "a sample of more than all": ({"type": "shadow", "sample": 1.5}, "sample", "below 1"),
    "a time without end": ({"type": "bandit", "horizon": "1000000000000d"}, "horizon", "at most 36500d"),
    "a role nobody can write": ({"type": "immediate", "approval": {"role": "\n"}}, "approval.role", "text of one line"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_policy_that_is_none_is_refused_by_its_field(ask: Client, case: str) -> None:
    policy, field, words = BAD[case]
    status, found, _ = ask("POST", "/api/policy/set", {"model": "late", "policy": policy, "reason": WHY})
    assert (status, found["field"]) == (400, field)
    assert words in found["message"]
    status, found, _ = ask(
        "POST", "/api/release/start", {"model": "late", "version": "2", "policy": policy, "reason": WHY}
    )
    assert (status, found["field"]) == (400, field)
    assert ask("GET", "/api/release/list?model=late&running=true")[1] == []


@pytest.mark.parametrize(
    ("versions", "status", "field"),
    [("2,champion", 409, "version"), ("2,9", 404, "version"), ("2,", 404, "version"), ("champion", 409, "version")],
)
def test_shadows_that_cannot_all_start_leave_none_behind(ask: Client, versions: str, status: int, field: str) -> None:
    order = {"model": "late", "version": versions, "policy": {"type": "shadow"}, "reason": WHY}
    found_status, found, _ = ask("POST", "/api/release/start", order)
    assert (found_status, found["field"]) == (status, field), found
    assert ask("GET", "/api/release/list?model=late&running=true")[1] == []


def test_a_version_that_is_named_twice_is_one_challenger(ask: Client) -> None:
    order = {"model": "late", "version": "2,2, 2", "policy": {"type": "shadow"}, "reason": WHY}
    status, started, _ = ask("POST", "/api/release/start", order)
    assert (status, started["challenger_number"]) == (200, 2), started
    assert ask("POST", "/api/release/abort", {"release": started["id"], "reason": WHY})[0] == 200
