"""Control killed in the middle of each strategy, at each named moment of a decision: it ends all the same."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.story.system.test_loop import PROJECT, START, Story, _past

from mainspring.adapters.home import Home, create_home
from mainspring.edges.api.address import read_address
from mainspring.edges.processes import Process, free_port
from mainspring.edges.surroundings import child_environment
from mainspring.edges.up import Supervisor
from mainspring.kernel.errors import MainspringError
from mainspring.testing.models import linear_onnx

WAIT_S = 60.0
EARNS = {4: 0.75, 5: 0.95}  # how often it comes true after an answer of that version; else half the time
BEFORE, AFTER, UNTOLD = "release.before_commit", "store.after_commit", "publish.before_write:2"  # its start writes once


class Shaken(Story):
    """A story whose control dies at each of ``points`` in turn, whatever it does there, and is started again."""

    def __init__(self, home: Home, port: int, up: Supervisor, environment: dict[str, str]) -> None:
        super().__init__(home, port, home.root / "never")
        self._up, self._environment = up, environment
        self.points: list[str] = []
        self.armed = ""

    def _answered(self, index: int, status: int, body: bytes) -> None:
        import json

        super()._answered(index, status, body)
        for place, one in enumerate(json.loads(body).get("predictions", [])):
            chance = EARNS.get(one["version"], 0.5)
            self._asked[f"o{self.turn}_{index * 10 + place}"] = self._dice.random() < chance

    def verb(self, name: str, **arguments: Any) -> Any:
        if name not in ("loop step", "release approve") or not self.points:
            return super().verb(name, **arguments)
        if not self.armed:
            self._start(self.points[0])
        try:
            return super().verb(name, **arguments)
        except MainspringError:
            self._wait(lambda: self._up.control.pid is None)
            assert self._up.control.exit_code == -signal.SIGKILL
            self.points.pop(0)
            self._start("")
            return super().verb(name, **arguments)

    def _start(self, point: str) -> None:
        """Start control anew, which dies at the point."""
        self.armed = point
        if self._up.control.pid is not None:
            os.kill(self._up.control.pid, signal.SIGKILL)
            self._wait(lambda: self._up.control.pid is None)
        self._environment["MAINSPRING_CRASH_AT"] = point
        self._up.control.start()
        self._wait(self._control_answers)

    def _control_answers(self) -> bool:
        address = read_address(self.home.root)
        return address is not None and address.process == self._up.control.pid

    def _wait(self, condition: Any) -> None:
        until_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < until_s, "waited in vain"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shaken]:
    place = tmp_path_factory.mktemp("shaken")
    project = place / "shop"
    project.mkdir()
    (project / "project.py").write_text(re.sub(r"release=ms.Canary.*", "release=ms.Immediate(),", PROJECT))
    (project / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(_past(n) for n in range(1_500)))
    home = create_home(place / "home", simulated_from=START)
    port = free_port()
    up = Supervisor(home, host="127.0.0.1", port=port, control_port=free_port())
    environment = child_environment()
    at = ["--home", str(home.root), "--port", up.page.rsplit(":", 1)[1].strip("/")]
    up.control = Process("control", "mainspring.edges.control", at, home.run, environment)
    try:
        up.start()
        story = Shaken(home, port, up, environment)
        story._wait(story._control_answers)
        story.verb("apply", path=str(project))
        story.verb("ingest")
        for number, weight in enumerate((1.0, 1.0, 0.8, 1.2, 0.9, 0.3, 3.0), 1):
            file = place / f"v{number}.onnx"
            file.write_bytes(linear_onnx({"x": weight}))
            story.version(file, str(number))
        story.verb("release start", model="late", version="1", reason="the first")
        story.play(1)
        yield story
    finally:
        up.stop()


# each names what is released, by which policy, where control dies, and what is decided all the same
DRAWN = {"horizon": "20d", "minimum_units": 200}
CASES: dict[str, tuple[str, dict[str, Any], list[str], list[str], int]] = {
    "blue-green": ("2", {"type": "blue_green", "keep": "1d"}, [BEFORE, UNTOLD], ["advance", "promote"], 2),
    "a bandit": (
        "3,4", {"type": "bandit", "per": "request", "update": "6h", "approval": {}, **DRAWN},
        [BEFORE, BEFORE, AFTER, UNTOLD], ["approve", "advance", "promote"], 4,
    ),
    "an A/B test": (
        "5", {"type": "ab_test", "share": 0.5, "window": "0s", **DRAWN}, [AFTER, BEFORE], ["advance", "promote"], 5,
    ),
    "champion and challengers": (
        "6,7", {"type": "champion_challenger", "margin": 0.05, "steps": [0.5], "hold": "6h", "minimum_units": 200,
                "window": "0s"},
        [BEFORE, UNTOLD, AFTER], ["advance", "promote"], 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_strategy_whose_control_is_killed_at_its_decisions_ends_as_it_would_have(shaken: Shaken, case: str) -> None:
    versions, policy, points, kinds, champion = CASES[case]
    given = len(points)
    started = shaken.verb("release start", model="late", version=versions, policy=policy, reason="a story")
    shaken.points, shaken.armed = list(points), ""
    for _ in range(30):
        shaken.play(1)
        found = shaken.verb("release show", release=started["id"])
        if found["stage"] == "over":
            break
        if found["decision"] and "approval" in found["decision"]["waiting"]:
            shaken.verb("release approve", release=started["id"], reason="the sample looks right")
    assert (found["status"], shaken.points) == ("promoted", []), found["decision"]
    told = [one["kind"] for one in found["history"] if one["kind"] not in ("wait", "reweigh", "drop")]
    assert told == kinds
    assert shaken.verb("champion", model="late")["number"] == champion
    entries = shaken.verb("ledger list", subject=started["id"])
    assert len(entries) == 1 + len([one for one in found["history"] if one["kind"] != "wait"])
    assert shaken.verb("ledger verify")["verified"]
    assert shaken.failed == []
    assert given >= 2
