"""Blue-green and a bandit on a home that is up: real gateways draw, fall back, and switch back."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.story.system.test_loop import PROJECT, ROWS, START, Story, _past

from mainspring.adapters.home import create_home
from mainspring.edges.processes import free_port
from mainspring.edges.up import supervised
from mainspring.kernel.errors import MainspringError
from mainspring.testing.models import linear_onnx

BLUE_GREEN = {"type": "blue_green", "keep": "5d"}
BANDIT = {
    "type": "bandit", "per": "request", "update": "6h", "horizon": "20d", "minimum_units": 250,
    "approval": {"role": "risk", "not_starter": True},
}  # fmt: skip
CALLERS = 3
EARNS = {1: 0.5, 2: 0.5, 3: 0.4, 4: 0.7}


class Shop(Story):
    """A story in which what comes true follows from which version answered."""

    def _answered(self, index: int, status: int, body: bytes) -> None:
        super()._answered(index, status, body)
        for place, one in enumerate(json.loads(body)["predictions"]):
            self._asked[f"o{self.turn}_{index * 10 + place}"] = self._dice.random() < EARNS[one["version"]]

    def ask_for(self, body: bytes) -> tuple[int, bytes]:
        """Ask as a caller would who has nothing to do with the story's turns."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/predict/late", body)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def start(self, version: str, policy: dict[str, Any]) -> str:
        found = self.verb("release start", model="late", version=version, policy=policy, reason="a story")
        return str(found["id"])

    def until(self, release: str, stage: str, most: int = 20) -> dict[str, Any]:
        for _ in range(most):
            found: dict[str, Any] = self.verb("release show", release=release)
            if found["stage"] == stage:
                return found
            self.play(1)
        raise AssertionError(f"not {stage} after {most} turns: {found['decision']}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = tmp_path_factory.mktemp("strategies")
    (place / "tmp").mkdir()
    project = place / "shop"
    project.mkdir()
    affecting = PROJECT.replace("affected_by_answer=False", "affected_by_answer=True")
    declared = re.sub(r"release=ms.Canary.*", "release=ms.Immediate(), holdout=0.05,", affecting)
    (project / "project.py").write_text(declared)
    (project / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(_past(n) for n in range(1_500)))
    home = create_home(place / "home", simulated_from=START)
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place / "tmp"))
        with supervised(home, host="127.0.0.1", port=port, control_port=free_port()):
            story = Shop(home, port, place / "tmp" / "broken")
            story.verb("apply", path=str(project))
            story.verb("ingest")
            _register(story, place, "1", 1.0)
            story.verb("release start", model="late", version="1", reason="the first")
            story.play(1)
            yield story


def _register(story: Shop, place: Path, number: str, weight: float) -> None:
    file = place / f"v{number}.onnx"
    file.write_bytes(linear_onnx({"x": weight}))
    story.version(file, number)


def held_out(shop: Shop) -> int:
    return shop.answers[-1].get(1, 0)


class Callers:
    """Threads that ask for one row after the other; ``told`` is what each was answered: status and version."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._numbers = count()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]
        self.told: list[tuple[int, int]] = []

    def until(self, answers: int) -> int:
        """Wait for so many answers in all, and return how many there are."""
        given_up_s = time.monotonic() + 120
        while len(self.told) < answers and time.monotonic() < given_up_s:
            time.sleep(0.01)
        assert len(self.told) >= answers
        return len(self.told)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        while not self._ends.is_set():
            row = [{"order_id": f"load{next(self._numbers)}", "x": 0.25}]
            status, body = self._shop.ask_for(json.dumps(row).encode())
            said = json.loads(body)["predictions"][0]["version"] if status == 200 else 0
            self.told.append((status, said))


@contextmanager
def asking(shop: Shop) -> Iterator[Callers]:
    callers = Callers(shop)
    callers.start()
    try:
        yield callers
    finally:
        callers.stop()


def test_blue_green_switches_everything_and_back_by_command_and_by_gross_failure(shop: Shop) -> None:
    shop.verb("train", model="late", recipe="rule", reason="a rule")
    shop.let_pass("2")
    first = shop.start("2", BLUE_GREEN)
    shop.until(first, "kept")
    shop.play(1)
    assert set(shop.answers[-1]) == {1, 2}
    assert 0 < held_out(shop) < 60  # one in twenty is held out on the champion for good
    with asking(shop) as callers:
        callers.until(40)
        assert 2 in {version for _, version in callers.told}
        shop.verb("release rollback", release=first, reason="customers complain")
        asyncio.run(shop.taken_up())
        back = callers.until(len(callers.told) + CALLERS)  # what had been asked before is answered by now
        callers.until(back + 60)
    assert {status for status, _ in callers.told} == {200}  # nobody was harmed on the way there, nor back
    assert {version for _, version in callers.told[back:]} == {1}
    shop.play(1)
    assert shop.answers[-1] == {1: ROWS}

    second = shop.start("2", BLUE_GREEN)
    shop.until(second, "kept")
    shop.play(1)
    assert held_out(shop) < 60
    shop.broken.touch()
    shop.play(1)
    ended = shop.verb("release show", release=second)
    assert (ended["status"], ended["reason"]) == ("rolled_back", "tripwire")
    assert shop.answers[-1] == {1: ROWS}  # whatever the new version left open, the old one answered
    shop.broken.unlink()
    assert shop.failed == []


def test_a_bandit_moves_callers_to_the_version_that_earns_more_once_somebody_has_approved(
    shop: Shop, tmp_path: Path
) -> None:
    _register(shop, tmp_path, "3", 0.5)
    _register(shop, tmp_path, "4", 2.0)
    release = shop.start("3,4", BANDIT)
    shop.play(2)
    waiting = shop.verb("release show", release=release)
    assert (waiting["stage"], waiting["decision"]["waiting"]) == ("shadow", ["approval"])
    shown = shop.verb("release sample", release=release, rows=6)
    assert abs(shown[0]["difference"]) >= abs(shown[-1]["difference"]) > 0
    approve(shop, release)
    shop.until(release, "bandit")
    shop.play(1)
    assert set(shop.answers[-1]) == {1, 3, 4}
    ended = shop.until(release, "over")
    assert (ended["status"], ended["challenger_number"]) == ("promoted", 4)
    reweighed = [one for one in ended["history"] if one["kind"] == "reweigh"]
    shares = {one["number"]: one["share"] for one in reweighed[-1]["contenders"]}
    assert shares[4] > shares[3]
    shop.play(1)
    assert set(shop.answers[-1]) == {4}
    assert shop.failed == []
    told = shop.verb("release holdout", model="late")
    assert told["share"] == 0.05
    assert told["held_out"] > 20


def approve(shop: Shop, release: str) -> None:
    """Sign off as bob, who has a key with the role; whoever started the release may not."""
    from mainspring.edges.cli.asking import ask
    from mainspring.edges.verbs import find

    arguments = {"release": release, "reason": "the sample looks right"}
    with pytest.raises(MainspringError, match="is nobody's role"):
        ask(find("release approve"), arguments, home=shop.home.root, by="bob")
    bob = {"name": "bob", "role": "approve:risk", "reason": "he signs for risk"}
    made = ask(find("key create"), bob, home=shop.home.root, by="ann")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAINSPRING_KEY", made["key"])
        approved = ask(find("release approve"), arguments, home=shop.home.root, by="ann")
    assert approved["approved"]["by"] == f"bob ({made['id']})"
