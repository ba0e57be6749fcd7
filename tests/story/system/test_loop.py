"""Ten simulated days of a small model: a brittle challenger, a better one and a worse one, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.story.turns import Turns

from mainspring.adapters.home import Home, create_home
from mainspring.edges.processes import free_port
from mainspring.edges.up import supervised
from mainspring.testing.models import linear_onnx

START = datetime(2026, 3, 1, tzinfo=UTC)
TURN = timedelta(hours=6)
ROWS = 400
PROJECT = """
import os
from pathlib import Path

import mainspring as ms

orders = ms.Source("orders", "orders.csv", time="placed", known_at="arrived", key="order_id")
late = ms.Model(
    "late", entity="order_id", inputs=["x"], predict_at="placed", task="binary",
    outcome=ms.Outcome("hours > 48", source=orders, matures_after="7h", affected_by_answer=False),
    release=ms.Canary(shadow="4d", steps=[0.5], hold="1h", metric="log_loss", margin=0.1, minimum_units=200),
)


@late.rule
def brittle(frame, params):
    place = Path(os.environ.get("TMPDIR", "/nowhere"))
    if (place / "broken").exists():
        raise RuntimeError("it broke")
    return 1 / (1 + 2.718281828459045 ** (-4.0 * frame["x"]))
"""


class Story(Turns):
    """Plays turns of a shop, and keeps what callers were told."""

    model = "late"
    turn_is = TURN

    def __init__(self, home: Home, port: int, broken: Path) -> None:
        super().__init__(home, port)
        self.broken = broken
        self._asked: dict[str, bool] = {}
        self.failed: list[tuple[int, int, bytes]] = []
        self.answers: list[dict[int, int]] = []  # rows by version, a turn

    def version(self, path: Path, number: str) -> None:
        """Register a graph, and let its checks pass by a person's word."""
        self.verb("register", model="late", file=path.read_bytes(), reason=path.stem)
        self.let_pass(number)

    def _outcomes(self) -> list[dict[str, Any]]:
        return [{"order_id": entity, "value": value} for entity, value in self._asked.items()]

    def _questions(self) -> list[bytes]:
        self.answers.append({})
        rows = [{"order_id": f"o{self.turn}_{n}", "x": self._dice.uniform(-1, 1)} for n in range(ROWS)]
        chance = {row["order_id"]: 1 / (1 + exp(-4.0 * float(row["x"]))) for row in rows}
        self._asked = {str(entity): self._dice.random() < late for entity, late in chance.items()}
        return [json.dumps(rows[at : at + 10]).encode() for at in range(0, ROWS, 10)]

    def _answered(self, index: int, status: int, body: bytes) -> None:
        if status != 200:
            self.failed.append((self.turn, status, body))
            return
        for one in json.loads(body)["predictions"]:
            assert 0.0 <= one["value"] <= 1.0
            self.answers[-1][one["version"]] = self.answers[-1].get(one["version"], 0) + 1


class Told(msgspec.Struct):
    """What was seen on the way."""

    story: Story
    first_days: str
    in_canary: dict[int, int]
    brittle: dict[str, Any]
    after_breaking: list[dict[int, int]]
    better: dict[str, Any]
    promoted_at: str
    worse: dict[str, Any]


@pytest.fixture(scope="module", params=["in its folder", "on PostgreSQL and S3"])
def told(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Told]:
    place = tmp_path_factory.mktemp("story")
    (place / "tmp").mkdir()
    project = place / "shop"
    project.mkdir()
    (project / "project.py").write_text(PROJECT)
    (project / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(_past(n) for n in range(1_500)))
    for name, weight in (("poor", 0.5), ("better", 4.0), ("worse", -1.0)):
        (place / f"{name}.onnx").write_bytes(linear_onnx({"x": weight}))
    home = create_home(place / "home", simulated_from=START)
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place / "tmp"))
        if request.param == "on PostgreSQL and S3":
            patch.setenv("MAINSPRING_STORE", request.getfixturevalue("postgres_server").fresh())
            bucket = request.getfixturevalue("s3_server")
            for name, value in bucket.environment(bucket.fresh()).items():
                patch.setenv(name, value)
        with supervised(home, host="127.0.0.1", port=port, control_port=free_port()):
            yield _play(Story(home, port, place / "tmp" / "broken"), place)


def _past(number: int) -> str:
    x, hours = (number * 37 % 200) / 100 - 1, 24 + 48 * (number % 2)
    placed = START - timedelta(days=12) + timedelta(minutes=7 * number)
    return f"past{number},{x},{placed.isoformat()},{(placed + timedelta(hours=hours)).isoformat()},{hours}\n"


def _play(story: Story, place: Path) -> Told:
    story.verb("apply", path=str(place / "shop"))
    story.verb("ingest")
    story.version(place / "poor.onnx", "1")
    story.verb("release start", model="late", version="1", reason="the first")
    story.play(1)
    first_days = story.now()

    story.verb("train", model="late", recipe="rule", reason="a rule")
    story.let_pass("2")
    brittle = story.verb("release start", model="late", version="2", reason="try the rule")
    while story.verb("release show", release=brittle["id"])["stage"] == "shadow":
        story.play(1)
    story.play(1)
    in_canary = story.answers[-1]
    story.broken.touch()
    before = story.turn
    brittle = story.play_until_over(brittle["id"])
    after_breaking = story.answers[before:]

    story.version(place / "better.onnx", "3")
    better = story.verb("release start", model="late", version="3", reason="more weight")
    better = story.play_until_over(better["id"])
    promoted_at = story.now()

    story.version(place / "worse.onnx", "4")
    worse = story.verb("release start", model="late", version="4", reason="less weight")
    worse = story.play_until_over(worse["id"])
    return Told(story, first_days, in_canary, brittle, after_breaking, better, promoted_at, worse)


def decided(release: dict[str, Any]) -> tuple[str, str]:
    return release["status"], release["decision"]["reason"]


def test_a_challenger_that_breaks_is_taken_out_and_no_caller_meets_it(told: Told) -> None:
    assert set(told.in_canary) == {1, 2}
    assert decided(told.brittle) == ("rolled_back", "tripwire")
    assert "RuntimeError: it broke" in told.brittle["decision"]["sentence"]
    assert all(answers == {1: ROWS} for answers in told.after_breaking)


def test_a_better_challenger_is_promoted_on_evidence(told: Told) -> None:
    assert decided(told.better) == ("promoted", "not_worse")
    (quality,) = [one for one in told.better["decision"]["measured"] if one["name"] == "quality"]
    assert quality["estimate"] < 0
    assert quality["e_promote"] >= quality["promote_at"]
    assert quality["n"] >= 200


def test_a_worse_challenger_is_stopped_in_shadow_and_never_answers(told: Told) -> None:
    assert decided(told.worse) == ("rolled_back", "quality_worse")
    assert {version for answers in told.story.answers for version in answers} == {1, 2, 3}


def test_every_request_of_every_turn_was_answered(told: Told) -> None:
    assert told.story.failed == []
    assert [sum(answers.values()) for answers in told.story.answers] == [ROWS] * told.story.turn


def test_each_change_of_routing_is_a_generation_and_none_comes_back(told: Told) -> None:
    generations = told.story.generations
    assert generations == sorted(generations)
    assert len(set(generations)) >= 6  # shadow and canary and end of one, of the next, shadow of the last


def test_the_ledger_says_why_and_with_which_numbers(told: Told) -> None:
    entries = told.story.verb("ledger list", kind="release", limit=100)
    said = [(entry["kind"], entry["reason"].partition(":")[0]) for entry in reversed(entries)]
    assert said == [
        ("release.first_champion", "the first"),
        ("release.started", "try the rule"),
        ("release.advanced", "shadow_passed"),
        ("release.rolled_back", "tripwire"),
        ("release.started", "more weight"),
        ("release.advanced", "shadow_passed"),
        ("release.promoted", "not_worse"),
        ("release.started", "less weight"),
        ("release.rolled_back", "quality_worse"),
    ]
    (promoted,) = [entry for entry in entries if entry["kind"] == "release.promoted"]
    assert promoted["actor"] == "loop"
    assert promoted["numbers"]["evidence_waived"] is False
    assert (promoted["numbers"]["challenger"], promoted["numbers"]["champion"]) == (3, 1)
    assert told.story.verb("ledger verify")["verified"] is True


def test_the_champion_of_a_past_time_is_told(told: Told) -> None:
    assert told.story.verb("champion", model="late", at=told.first_days)["number"] == 1
    assert told.story.verb("champion", model="late", at=told.promoted_at)["number"] == 3
    assert told.story.verb("champion", model="late")["number"] == 3
