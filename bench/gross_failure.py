"""A challenger that begins to fail while it answers one request in twenty, at a hundred requests a second, for real.

Prints how long it took until the champion answered everything again, and what callers met. The release waits in shadow
for two minutes first: rows count once they have had time to reach the log.

Run: python bench/gross_failure.py
"""

from __future__ import annotations

import asyncio
import json
import os
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
from mainspring.edges.up import supervised
from mainspring.edges.verbs import find
from mainspring.testing.models import linear_onnx
from mainspring.testing.traffic import Traffic

EVERY_S, AT_ONCE = 0.1, 10  # a hundred requests a second
LIMIT_S = 300.0
PROJECT = """
import os
from pathlib import Path

import mainspring as ms

orders = ms.Source("orders", "orders.csv", time="placed", known_at="arrived", key="order_id")
late = ms.Model(
    "late", entity="order_id", inputs=["x"], predict_at="placed", task="binary",
    outcome=ms.Outcome("hours > 48", source=orders, matures_after="7h"),
    release=ms.Canary(shadow="4d", steps=[0.05], hold="1d", metric="log_loss", margin=3.0, minimum_units=100),
)


@late.rule
def brittle(frame, params):
    if (Path(os.environ.get("TMPDIR", "/nowhere")) / "broken").exists():
        raise RuntimeError("it broke")
    return 1 / (1 + 2.718281828459045 ** (-4.0 * frame["x"]))
"""


class Answer(msgspec.Struct):
    """What a caller was told, and when."""

    at_s: float
    status: int
    version: int | None


class Callers:
    """Ask a hundred times a second until told to stop, and keep every answer."""

    def __init__(self, port: int) -> None:
        self._traffic = Traffic("127.0.0.1", port, 4)
        self.answers: list[Answer] = []

    async def until(self, done: Callable[[], bool]) -> float:
        """Ask until ``done`` says so; return the moment."""
        ends_s = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < ends_s, f"nothing came of it in {LIMIT_S} s"
            begun_s = time.monotonic()
            bodies = [json.dumps({"order_id": f"o{len(self.answers)}_{n}", "x": n / 10}).encode() for n in range(10)]
            await self._traffic.post("/predict/late", bodies, on_answer=self._answered)
            await asyncio.sleep(max(0.0, begun_s + EVERY_S - time.monotonic()))
        return time.monotonic()

    def close(self) -> None:
        """Hang up."""
        self._traffic.close()

    def _answered(self, index: int, status: int, body: bytes) -> None:
        version = json.loads(body)["version"] if status == 200 else None
        self.answers.append(Answer(time.monotonic(), status, version))


class Ended(msgspec.Struct):
    """What was seen."""

    callers: Callers
    broke_s: float
    told_s: float
    release: dict[str, Any]
    fell_back: int
    routed: bool


def play(place: Path) -> Ended:
    """Make a home with a project, and let it go through a release that breaks."""
    for folder in ("tmp", "shop"):
        (place / folder).mkdir()
    (place / "shop" / "project.py").write_text(PROJECT)
    (place / "shop" / "orders.csv").write_text("order_id,x,placed,arrived,hours\n" + "".join(map(_past, range(600))))
    (place / "first.onnx").write_bytes(linear_onnx({"x": 1.0}))
    home, port = create_home(place / "home"), free_port()
    os.environ["TMPDIR"] = str(place / "tmp")
    with supervised(home, host="127.0.0.1", port=port, control_port=free_port()):
        return asyncio.run(_play(home, port, place))


def _past(number: int) -> str:
    hours = 24 + 48 * (number % 2)
    placed = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=7 * number)
    arrived = placed + timedelta(hours=hours)
    return f"past{number},{number / 300 - 1},{placed.isoformat()},{arrived.isoformat()},{hours}\n"


async def _play(home: Home, port: int, place: Path) -> Ended:
    def verb(name: str, **arguments: Any) -> Any:
        return ask(find(name), arguments, home=home.root, by="ann")

    def passed(version: str) -> None:
        for result in verb("check", model="late", version=version):
            if result["status"] == "failed" and result["severity"] == "block":
                verb("override", model="late", version=version, check=result["name"], reason="a story")

    verb("apply", path=str(place / "shop"))
    verb("ingest")
    verb("register", model="late", file=(place / "first.onnx").read_bytes(), reason="the first")
    passed("1")
    verb("release start", model="late", version="1", reason="the first")
    verb("train", model="late", recipe="rule", reason="a rule")
    passed("2")
    release = verb("release start", model="late", version="2", reason="try the rule")["id"]
    callers = Callers(port)
    await Traffic("127.0.0.1", port).wait_until_ready(60)
    await callers.until(lambda: any(one.version == 2 for one in callers.answers))
    (place / "tmp" / "broken").touch()
    broke_s = time.monotonic()
    told_s = await callers.until(lambda: verb("release show", release=release)["stage"] == "over")
    begun = len(callers.answers)
    await callers.until(lambda: len(callers.answers) >= begun + 200)
    callers.close()
    routing = RoutingFile(home.routing, LocalDisk()).read()
    assert routing is not None
    await asyncio.sleep(1.0)  # control takes in ten times a second
    counts = verb("status")["log"]
    shown = verb("release show", release=release)
    return Ended(callers, broke_s, told_s, shown, counts["fallback"], routing.models[0].release is not None)


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        ended = play(Path(place))
    failed = [one for one in ended.callers.answers if one.status != 200]
    after = [one for one in ended.callers.answers if one.at_s > ended.broke_s]
    last = max((one.at_s for one in after if one.version == 2), default=ended.broke_s)
    print(f"callers      {len(ended.callers.answers)} asked, {len(failed)} met a failure")
    print(f"the worker   {ended.fell_back} answers fell back; it answered last {last - ended.broke_s:.2f} s later")
    print(f"control      over {ended.told_s - ended.broke_s:.2f} s after it broke (aim: 2)")
    print(f"why          {ended.release['decision']['sentence']}")
    held = not failed and 1 <= ended.fell_back <= 30 and not ended.routed
    held = held and (ended.release["status"], ended.release["decision"]["reason"]) == ("rolled_back", "tripwire")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
