"""A gateway worker killed at named moments and at random ones: nothing acknowledged as durable is lost."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.kernel.schema import Column
from mainspring.log.frame import read_groups
from mainspring.log.records import Assignment, Record, Request, Scored
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

ROW = {"id": "f1", "distance": 100.0, "carrier": "UA"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = create_home(tmp_path / "home")
    disk = LocalDisk()
    blobs = FileBlobs(made.blobs, disk)
    champion = onnx_version(blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    snapshot = routing(1, model_route(champion), [champion], acknowledgement="durable")
    RoutingFile(made.routing, disk).write(snapshot)
    return made


class Worker:
    """A gateway worker that may be killed and started again."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, crash_at: str = "") -> int:
        """Start it and return its port."""
        file = self._home.run / "gateway-0.json"
        file.unlink(missing_ok=True)
        RoutingFile(self._home.routing, LocalDisk()).withdraw("gateway-0")
        command = [sys.executable, "-m", "mainspring.edges.gateway", "--home", str(self._home.root), "--port", "0"]
        self._process = subprocess.Popen(command, env={**os.environ, "MAINSPRING_CRASH_AT": crash_at})
        until = time.monotonic() + 60
        while not (file.exists() and (self._home.routing / "acks" / "gateway-0.json").exists()):
            assert time.monotonic() < until
            time.sleep(0.02)
        port: int = json.loads(file.read_bytes())["port"]
        return port

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def died(self) -> bool:
        return self._process is not None and self._process.wait(20) == -signal.SIGKILL


@pytest.fixture
def worker(home: Home) -> Iterator[Worker]:
    made = Worker(home)
    yield made
    made.kill()


def records(home: Home) -> list[Record]:
    found: list[Record] = []
    for segment in home.spool.glob("[!.]*/*.seg"):
        found += read_groups(segment.read_bytes()).records
    return found


def ask(port: int, count: int) -> dict[str, float]:
    """Ask so many times and return the answers that came, by prediction id."""
    answers: dict[str, float] = {}

    def note(index: int, status: int, body: bytes) -> None:
        if status == 200:
            said = json.loads(body)
            answers[said["id"]] = said["value"]

    async def run() -> None:
        async with Traffic("127.0.0.1", port, connections=4) as traffic:
            await traffic.post("/predict/late", [json.dumps(ROW).encode()] * count, on_answer=note)

    asyncio.run(run())
    return answers


@pytest.mark.parametrize(
    "moment",
    ["gateway.after_assignment:9", "gateway.before_answer:9", "gateway.after_answer:9", "spool.before_write:4",
     "spool.after_write:4", "spool.after_sync:4"],
)  # fmt: skip
def test_an_answer_that_came_is_in_the_spool_wherever_the_worker_is_killed(
    home: Home, worker: Worker, moment: str
) -> None:
    answers = ask(worker.start(moment), 40)
    assert worker.died()
    logged = {one.prediction_id: one.outputs[0] for one in records(home) if isinstance(one, Scored)}
    assert answers.items() <= logged.items()


def test_work_that_was_lost_still_counts_against_its_arm(home: Home, worker: Worker) -> None:
    port = worker.start("gateway.before_answer:3")
    ask(port, 3)
    assert worker.died()
    kinds = Counter(type(one) for one in records(home))
    assert kinds[Request] == kinds[Assignment] >= kinds[Scored] >= 2


def test_kills_at_random_moments_lose_and_double_nothing(home: Home, worker: Worker, moments: Any) -> None:
    dice = random.Random(7)
    answers: dict[str, float] = {}
    for _ in range(moments(3, 200)):
        port = worker.start()
        killer = subprocess.Popen(["sleep", str(dice.uniform(0.05, 0.4))])
        while killer.poll() is None:
            answers |= ask(port, 20)
        worker.kill()
    logged = [one.prediction_id for one in records(home) if isinstance(one, Scored)]
    assert len(logged) == len(set(logged))
    assert len(answers) > 20
    assert set(answers) <= set(logged)
