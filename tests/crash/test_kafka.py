"""A gateway worker that logs to a Kafka topic, killed: nothing acknowledged is lost, and nothing is there twice.

The broker is never killed here: what it keeps through a crash of its own is its own promise.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.settings import Settings
from mainspring.adapters.spools import spool_reader
from mainspring.kernel.schema import Column
from mainspring.testing.logs import LogBench
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

ROW = json.dumps({"id": "f1", "distance": 100.0, "carrier": "UA"}).encode()


class Gateway:
    """A worker that may be killed, and the answers that it gave."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.answers: set[str] = set()

    def start(self, crash_at: str = "") -> int:
        file = self._home.run / "gateway-0.json"
        file.unlink(missing_ok=True)
        RoutingFile(self._home.routing, LocalDisk()).withdraw("gateway-0")
        command = [sys.executable, "-m", "mainspring.edges.gateway", "--home", str(self._home.root), "--port", "0"]
        self._process = subprocess.Popen(command, env={**os.environ, "MAINSPRING_CRASH_AT": crash_at})
        until = time.monotonic() + 60
        while not (file.exists() and (self._home.routing / "acks" / "gateway-0.json").exists()):
            assert time.monotonic() < until
            time.sleep(0.02)
        return int(json.loads(file.read_bytes())["port"])

    def ask(self, port: int, count: int) -> None:
        def note(index: int, status: int, body: bytes) -> None:
            if status == 200:
                self.answers.add(json.loads(body)["id"])

        async def run() -> None:
            async with Traffic("127.0.0.1", port, connections=4) as traffic:
                await traffic.post("/predict/late", [ROW] * count, on_answer=note)

        asyncio.run(run())

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def died(self) -> bool:
        return self._process is not None and self._process.wait(20) == -signal.SIGKILL


@pytest.fixture
def home(tmp_path: Path, new_topic: str) -> Home:
    made = create_home(tmp_path / "home")
    (made.root / "settings.toml").write_text(f'spool = "{new_topic}"\n')
    disk = LocalDisk()
    champion = onnx_version(
        FileBlobs(made.blobs, disk), "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),)
    )
    RoutingFile(made.routing, disk).write(routing(1, model_route(champion), [champion], acknowledgement="durable"))
    return made


@pytest.fixture
def gateway(home: Home) -> Iterator[Gateway]:
    made = Gateway(home)
    yield made
    made.kill()


def logged(tmp_path: Path, topic: str, wanted: set[str]) -> list[str]:
    """Take in what the topic holds, by three control processes that follow one another; return the ids of answers."""
    until = time.monotonic() + 20
    ids: list[str] = []
    for _ in range(3):
        bench = LogBench(tmp_path / "log")
        ingest = bench.new_ingest(reader=spool_reader(Settings(spool=topic), bench.spool, bench.disk))
        while True:
            ingest.run()
            ids = bench.log.scored("mdl_1")["prediction_id"].to_list()
            if wanted <= set(ids) or time.monotonic() > until:
                break
        ingest.close()
        bench.close()
    return ids


@pytest.mark.parametrize(
    "moment", ["gateway.after_assignment:9", "gateway.before_answer:9", "kafka.delivered:9", "kafka.delivered:10"]
)
def test_an_answer_that_came_is_in_the_topic_wherever_the_worker_is_killed(
    tmp_path: Path, home: Home, gateway: Gateway, new_topic: str, moment: str
) -> None:
    (tmp_path / "log").mkdir()
    gateway.ask(gateway.start(moment), 40)
    assert gateway.died()
    ids = logged(tmp_path, new_topic, gateway.answers)
    assert len(ids) == len(set(ids))
    assert gateway.answers <= set(ids)


def test_kills_at_random_moments_lose_and_double_nothing(
    tmp_path: Path, home: Home, gateway: Gateway, new_topic: str, moments: Any
) -> None:
    (tmp_path / "log").mkdir()
    dice = random.Random(11)
    for _ in range(moments(2, 200)):
        port = gateway.start()
        end = time.monotonic() + dice.uniform(0.05, 0.5)
        killer = subprocess.Popen(["sleep", str(max(0.0, end - time.monotonic()))])
        while killer.poll() is None:
            gateway.ask(port, 20)
        gateway.kill()
    ids = logged(tmp_path, new_topic, gateway.answers)
    assert len(gateway.answers) > 10
    assert len(ids) == len(set(ids))
    assert gateway.answers <= set(ids)
