"""Challengers that begin to fail while they answer one request in twenty, at a hundred requests a second, for real.

Each fails in its own way: it raises, answers no number, ends, grows without bound, hangs, is slow; one alone, two of a
bandit's three, and those of a contest in shadow. The last ones fail after control was killed, when gateways have only
each other. Prints how long it took until no gateway tried them any more, and what callers met. Releases wait in shadow
for two minutes first: rows count once they have had time to reach the log.

Run: python bench/gross_failure.py [--workers 2]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.edges.cli.asking import ask
from mainspring.edges.processes import free_port
from mainspring.edges.up import Supervisor, supervised
from mainspring.edges.verbs import find
from mainspring.testing.models import linear_onnx
from mainspring.testing.traffic import Traffic

EVERY_S, AT_ONCE = 0.1, 10  # a hundred requests a second
SHADOWED_EVERY_S = 2.0  # models that wait in shadow are asked so many times less
LOOK_EVERY_S = 0.01
LIMIT_S = 400.0
AFTER_S = 2.0
PROJECT = """
import os
import time
from pathlib import Path

import mainspring as ms

orders = ms.Source("orders", "orders.csv", time="placed", known_at="arrived", key="order_id")
HELD = []
CANARY = ms.Canary(shadow="4d", steps=[0.05], hold="1d", metric="log_loss", margin=3.0, minimum_units=100)
BANDIT = ms.Bandit(per="request", update="6h", horizon="20d", minimum_units=100)
CONTEST = ms.ChampionChallenger(shadow="4d", metric="log_loss", margin=3.0, minimum_units=500)


class Brittle:
    \"\"\"Answers until a file stands; then it fails in its way.\"\"\"

    def __init__(self, model, way):
        self.model, self.way = model, way

    def predict_proba(self, frame):
        import numpy

        sound = 1 / (1 + numpy.exp(-4.0 * frame["x"].to_numpy()))
        if (Path(os.environ.get("TMPDIR", "/nowhere")) / self.model).exists():
            sound = self.fail(sound)
        return numpy.stack([1 - sound, sound], axis=1)

    def fail(self, sound):
        if self.way == "raises":
            raise RuntimeError("it broke")
        if self.way == "nan":
            return sound * float("nan")
        if self.way == "dies":
            os._exit(1)
        if self.way == "grows":
            HELD.append(bytearray(os.urandom(1 << 20)) * 150)
        if self.way == "hangs":
            time.sleep(3_600)
        if self.way == "slow":
            time.sleep(1.2)
        return sound


def model(name, release, ways):
    made = ms.Model(
        name, entity="order_id", inputs=["x"], predict_at="placed", task="binary", release=release,
        outcome=ms.Outcome(
            "hours > 48", source=orders, matures_after="7h", affected_by_answer=not isinstance(release, type(CONTEST))
        ),
    )
    for number, way in enumerate(ways):
        made.recipe(f"r{number}", params={"model": name, "way": way})(train)
    return made


def train(frame, params):
    return Brittle(params["model"], params["way"])
"""


class Case(msgspec.Struct, frozen=True):
    """A model whose challengers fail, each in its way; ``sound`` ones go on."""

    name: str
    ways: tuple[str, ...]
    policy: str = "CANARY"
    alone: bool = False  # control is away


CASES = (
    *(Case(way, (way,)) for way in ("raises", "nan", "dies", "grows", "hangs", "slow")),
    Case("bandit", ("sound", "raises", "hangs"), "BANDIT"),
    Case("contest", ("sound", "raises", "hangs"), "CONTEST"),
    *(Case(f"alone_{way}", (way,), alone=True) for way in ("raises", "dies", "hangs")),
)


class Answer(msgspec.Struct):
    """What a caller was told, when, and how long it took."""

    at_s: float
    status: int
    version: int | None
    took_s: float


class Callers:
    """Ask one model ten times each tenth of a second, whatever has been answered, and keep every answer."""

    def __init__(self, port: int, model: str) -> None:
        self._lines = [Traffic("127.0.0.1", port, AT_ONCE) for _ in range(20)]
        self._path = f"/predict/{model}"
        self._asked = 0
        self.answers: list[Answer] = []

    async def until(self, done: Callable[[], bool], every_s: float = EVERY_S) -> None:
        """Ask until ``done`` says so, and wait for the answers."""
        ends_s = time.monotonic() + LIMIT_S
        begun: list[asyncio.Task[None]] = []
        while not done():
            assert time.monotonic() < ends_s, f"nothing came of {self._path} in {LIMIT_S} s"
            next_s = time.monotonic() + every_s
            begun.append(asyncio.create_task(self._ask(self._lines[len(begun) % len(self._lines)])))
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        await asyncio.gather(*begun)

    def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            line.close()

    async def _ask(self, line: Traffic) -> None:
        numbers = range(self._asked, self._asked + AT_ONCE)
        self._asked += AT_ONCE
        bodies = [json.dumps({"order_id": f"o{number}", "x": number % 10 / 10}).encode() for number in numbers]
        began_s = time.monotonic()

        def answered(_: int, status: int, body: bytes) -> None:
            version = json.loads(body)["version"] if status == 200 else None
            self.answers.append(Answer(time.monotonic(), status, version, time.monotonic() - began_s))

        await line.post(self._path, bodies, on_answer=answered)


class Back(msgspec.Struct):
    """When the gateways tried failing versions no more: when the first one knew, and when all of them did."""

    first_s: float = 0.0
    all_s: float = 0.0


class Seen(msgspec.Struct):
    """What was seen of one case."""

    case: Case
    callers: Callers
    broke_s: float
    back: Back
    release: dict[str, Any] | None


class Bench:
    """A home that is up, with a release of each case."""

    def __init__(self, home: Home, up: Supervisor, port: int, place: Path, workers: int) -> None:
        self._home, self._up, self._port, self._place, self._workers = home, up, port, place, workers
        self._file = RoutingFile(home.routing, LocalDisk())
        self._releases: dict[str, str] = {}
        self._failing: dict[str, set[str]] = {}

    def prepare(self) -> None:
        """Apply the project, and start every release."""
        self.verb("apply", path=str(self._place / "shop"))
        self.verb("ingest")
        for case in CASES:
            self.verb("register", model=case.name, file=(self._place / "first.onnx").read_bytes(), reason="the first")
            self._pass(case.name, "1")
            self.verb("release start", model=case.name, version="1", reason="the first")
            for number, _ in enumerate(case.ways):
                self.verb("train", model=case.name, recipe=f"r{number}", reason="one that breaks")
                self._pass(case.name, str(number + 2))
            versions = ",".join(str(number + 2) for number in range(len(case.ways)))
            started = self.verb("release start", model=case.name, version=versions, reason="try it")
            self._releases[case.name] = started["id"]
            ids = [one["id"] for one in sorted(self.verb("versions", model=case.name), key=lambda one: one["number"])]
            self._failing[case.name] = {id for id, way in zip(ids[1:], case.ways, strict=True) if way != "sound"}

    async def play(self) -> list[Seen]:
        """Let every release out of its shadow, then break one after the other."""
        await Traffic("127.0.0.1", self._port).wait_until_ready(60)
        callers = {case.name: Callers(self._port, case.name) for case in CASES}
        waiting = [callers[case.name].until(self._is_out(case, callers), SHADOWED_EVERY_S) for case in CASES]
        await asyncio.gather(*waiting)
        seen = []
        for case in sorted(CASES, key=lambda one: one.alone):
            if case.alone and self._up.control.pid is not None:
                os.kill(self._up.control.pid, signal.SIGKILL)  # nobody starts it again: the bench does not watch
            seen.append(await self._break(case, callers[case.name]))
        for one in callers.values():
            one.close()
        return seen

    def _is_out(self, case: Case, callers: dict[str, Callers]) -> Callable[[], bool]:
        if case.policy == "CONTEST":  # it stays in shadow
            return lambda: all(self._drawn(one) for one in CASES if one.policy != "CONTEST")
        return lambda: self._drawn(case)

    def _drawn(self, case: Case) -> bool:
        routing = self._file.read()
        if routing is None:
            return False
        return any(one.name == case.name and one.release is not None for one in routing.models)

    async def _break(self, case: Case, callers: Callers) -> Seen:
        callers.answers.clear()
        began_s = time.monotonic()
        await callers.until(lambda: time.monotonic() > began_s + AFTER_S)
        callers.answers.clear()
        (self._place / "tmp" / case.name).touch()
        broke_s, back = time.monotonic(), Back()
        looking = asyncio.create_task(self._look(case, back))
        until_s = broke_s + 20.0
        await callers.until(lambda: time.monotonic() > until_s or (looking.done() and self._quiet(back)))
        await looking
        release = None if case.alone else await asyncio.to_thread(self._ended, case, until_s)
        return Seen(case, callers, broke_s, back, release)

    @staticmethod
    def _quiet(back: Back) -> bool:
        return time.monotonic() > back.all_s + AFTER_S

    async def _look(self, case: Case, back: Back) -> None:
        """Look at what the workers acknowledge until none tries a failing version any more."""
        if case.policy == "CONTEST":
            back.first_s = back.all_s = time.monotonic() + 5.0  # no caller meets it; they are watched for so long
            return
        ends_s = time.monotonic() + 20.0
        while not back.all_s and time.monotonic() < ends_s:
            routing = self._file.read()
            assert routing is not None
            release = next(one.release for one in routing.models if one.name == case.name)
            drawn = set(release.challengers) & self._failing[case.name] if release else set()
            rid = [
                self._failing[case.name] <= said.disabled.keys()
                or (not drawn - said.disabled.keys() and said.generation >= routing.generation)
                for said in self._file.living()
            ]
            if any(rid) and not back.first_s:
                back.first_s = time.monotonic()
            if len(rid) == self._workers and all(rid):
                back.all_s = time.monotonic()
            await asyncio.sleep(LOOK_EVERY_S)

    def _ended(self, case: Case, until_s: float) -> dict[str, Any]:
        """Return the release once control has ended it, where it is to be ended."""
        while True:
            found: dict[str, Any] = self.verb("release show", release=self._releases[case.name])
            if found["stage"] == "over" or case.policy != "CANARY" or time.monotonic() > until_s:
                return found
            time.sleep(0.2)

    def _pass(self, model: str, version: str) -> None:
        for result in self.verb("check", model=model, version=version):
            if result["status"] == "failed" and result["severity"] == "block":
                self.verb("override", model=model, version=version, check=result["name"], reason="a story")

    def verb(self, name: str, **arguments: Any) -> Any:
        """Ask control."""
        return ask(find(name), arguments, home=self._home.root, by="ann")


def play(place: Path, workers: int) -> list[Seen]:
    """Make a home with a project, and let its releases break."""
    for folder in ("tmp", "shop"):
        (place / folder).mkdir()
    lines = [f"{case.name} = model({case.name!r}, {case.policy}, {list(case.ways)!r})\n" for case in CASES]
    (place / "shop" / "project.py").write_text(PROJECT + "".join(lines))
    (place / "shop" / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(map(_past, range(600))))
    (place / "first.onnx").write_bytes(linear_onnx({"x": 1.0}))
    home, port = create_home(place / "home"), free_port()
    (home.root / "settings.toml").write_text("model_memory_mb = 500\n")
    os.environ["TMPDIR"] = str(place / "tmp")
    with supervised(home, host="127.0.0.1", port=port, control_port=free_port(), workers=workers) as up:
        bench = Bench(home, up, port, place, workers)
        bench.prepare()
        return asyncio.run(bench.play())


def _past(number: int) -> str:
    hours = 47 + 2 * (number % 2)
    placed = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=7 * number)
    arrived = placed + timedelta(hours=hours)
    return f"past{number},{number / 300 - 1},{placed.isoformat()},{arrived.isoformat()},{hours}\n"


def told(one: Seen) -> bool:
    """Print what was seen of a case, and return whether it is as promised."""
    answers = one.callers.answers
    failed = [answer.status for answer in answers if answer.status != 200]
    slowest_s = max(answer.took_s for answer in answers)
    last_s = max((answer.at_s for answer in answers if answer.version != 1), default=one.broke_s)
    decision = one.release["decision"] if one.release and one.release["decision"] else None
    print(
        f"{one.case.name:13} {len(answers)} asked, {len(failed)} failed {failed or ''}, slowest {slowest_s:.2f} s; "
        f"first gateway {one.back.first_s - one.broke_s:5.2f} s, all {one.back.all_s - one.broke_s:5.2f} s; "
        f"a challenger answered last at {last_s - one.broke_s:.2f} s"
        + (f"; {decision['sentence']}" if decision else "")
    )
    return not failed and one.back.all_s - one.broke_s > 0.0


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        seen = play(Path(place), given.workers)
    held = [told(one) for one in seen]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
