"""One running home (control, gateway, model processes) on a clock that stands still, and what of it must not change."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.api.address import read_address
from mainspring.edges.processes import free_port
from mainspring.kernel.clock import SimulatedClock
from mainspring.platform import Platform, open_platform
from mainspring.testing.models import linear_onnx

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 12
ROW = {"trip": "t1", "place": "a", "price": 1.5}
PROJECT = """
import mainspring as ms

trips = ms.Source("trips", "trips.csv", time="start", known_at="end", key="trip")
columns = {"user": "str", "at": "time", "price": "float?"}
clicks = ms.Source("clicks", ms.push(columns), time="at", known_after="1h", key="user")
by_place = ms.FeatureView("by_place", source=trips, key="place", features=[ms.share("minutes > 30", over="3h")])
slow = ms.Model(
    "slow", entity="trip", keys="place", inputs=["price"], predict_at="start", features=[by_place],
    outcome=ms.Outcome("minutes > 30", source=trips, matures_after="36h", affected_by_answer=False),
    task="binary", release=ms.Canary(shadow="14d", steps=[0.5], metric="log_loss", margin=0.05),
)


@slow.rule
def always(frame, params):
    return 0.2 + 0 * frame["price"]


@slow.recipe("raises")
def raises(frame, params):
    return frame["colour"]


@slow.recipe("returns_text")
def returns_text(frame, params):
    return "a model"


@slow.recipe("never_ends", timeout_s=3.0)
def never_ends(frame, params):
    import time

    time.sleep(600)


@slow.recipe("young", window="1h")
def young(frame, params):
    raise AssertionError("there is nothing to fit")


@slow.recipe("other_columns")
def other_columns(frame, params):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=2).fit(frame[["price"]].assign(colour=1.0), frame["label"])
"""


class Answer(NamedTuple):
    """What a command or a request was answered with."""

    code: int
    said: str


def trips(count: int = 2_000) -> list[str]:
    """Return the lines of a file of trips: 200 a day in February."""
    lines = ["trip,place,price,start,end,minutes"]
    for number in range(count):
        start = datetime(2026, 2, 1 + number // 200, tzinfo=UTC) + timedelta(minutes=7 * (number % 200))
        times = f"{start:%Y-%m-%dT%H:%M:%SZ},{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        lines.append(f"t{number},{'ab'[number % 2]},{number % 9}.5,{times},{number % 50}")
    return lines


def write_project(folder: Path, text: str = PROJECT, lines: Sequence[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "project.py").write_text(text)
    (folder / "trips.csv").write_text("\n".join(trips() if lines is None else lines) + "\n")
    return folder


class Running:
    """A home that is up, asked through its real doors."""

    def __init__(self, home: Path, project: Path, port: int, control_port: int) -> None:
        self.home, self.project = home, project
        self.port, self.control_port = port, control_port
        self.slow_line: socket.socket

    @property
    def token(self) -> str:
        address = read_address(self.home)
        assert address is not None
        return address.token

    def gateway(self, method: str, path: str, body: bytes | None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return _asked(self.port, method, path, body, named)

    def control(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> tuple[int, Any]:
        """Ask the API; None leaves a header out that is sent otherwise."""
        sent: dict[str, str | None] = {"authorization": f"Bearer {self.token}"}
        if method == "POST":
            sent |= {"x-mainspring-request": "1", "x-mainspring-actor": "eve", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in sent.items() if value is not None}
        return _asked(self.control_port, method, path, body, given)

    def state(self) -> dict[str, Any]:
        """Return what a refusal must leave as it was: the ledger's head, revisions, versions, aliases, the log."""
        time.sleep(0.05)  # answers are acknowledged within milliseconds of being on disk
        assert self.control("POST", "/api/loop/ingest", b"{}")[0] == 200
        seen = {
            "ledger": self.control("GET", "/api/ledger/head"),
            "revisions": self.control("GET", "/api/revisions?project=trips"),
            "versions": self.control("GET", "/api/versions?model=slow"),
            "models": self.control("GET", "/api/models"),
            "log": self.control("GET", "/api/status"),
        }
        assert {status for status, _ in seen.values()} == {200}, seen
        return {**{name: body for name, (_, body) in seen.items()}, "log": seen["log"][1]["log"]}

    def command(self, *words: str, home: Path | None = None, **environment: str) -> Answer:
        """Run one command line in a process of its own."""
        return command(*words, home=home or self.home, **environment)


def command(*words: str, home: Path, **environment: str) -> Answer:
    done = subprocess.run(
        [sys.executable, "-m", "mainspring.edges.cli", *words],
        env={**os.environ, "MAINSPRING_HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Answer(done.returncode, done.stderr)


def commands(cases: dict[str, Callable[[], Answer]]) -> dict[str, Answer]:
    """Run commands side by side and return their answers by name."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(cases, pool.map(lambda case: case(), cases.values()), strict=True))


def _asked(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    return answer.status, json.loads(content) if content.startswith((b"{", b"[")) else content.decode()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A home with one model whose champion is a small graph, and a log of a few labelled predictions."""
    folder = tmp_path_factory.mktemp("bad_input")
    project = write_project(folder / "trips")
    home = create_home(folder / "home", simulated_from=NOW - timedelta(days=DAYS))
    with closing(open_platform(home)) as platform:
        _fill(platform, project, folder)
    up = Running(home.root, project, free_port(), free_port())
    words = ["--home", str(home.root), "--port", str(up.port), "--control-port", str(up.control_port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mainspring.edges.cli", "up", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        assert said[-1].startswith(b"stop"), said
        _log_some(up)
        with _begin_slowly(up) as up.slow_line:
            yield up
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def _fill(platform: Platform, project: Path, folder: Path) -> None:
    platform.projects.apply(project, by="ann")
    model = platform.registry.model("trips", "slow").id
    graph = folder / "linear.onnx"
    for weight in (0.1, 0.2):
        graph.write_bytes(linear_onnx({"price": weight}))
        version = platform.intake.register_graph(model, graph, by="ann", reason="a small one")
        with platform.store.begin("ann") as tx:
            platform.registry.point(tx, model, "champion" if weight == 0.1 else "second", version.id, "set up")
        for one in platform.checks.run(version.id, by="ann"):
            if one.status == "failed" and one.severity == "block":
                platform.checks.override(version.id, one.name, by="ann", reason="it is small")
    platform.publisher.publish()


def _log_some(up: Running) -> None:
    """Log twelve days of 25 labelled predictions a day: too few for a release to be decided in time."""
    clock = SimulatedClock(up.home / "clock", writable=True)
    _await_ready(up)
    for day in range(DAYS + 1):
        clock.advance(NOW - timedelta(days=DAYS - day))
        names = [f"d{day}n{number}" for number in range(25)]
        asked = json.dumps([{**ROW, "trip": name} for name in names]).encode()
        assert up.gateway("POST", "/predict/slow", asked)[0] == 200
        came = json.dumps([{"trip": name, "value": name[-1] in "147"} for name in names]).encode()
        assert up.gateway("POST", "/outcomes/slow", came)[0] == 202


def _begin_slowly(up: Running) -> socket.socket:
    """Promise more bytes than are sent; the gateway gives up while other tests go on."""
    line = socket.create_connection(("127.0.0.1", up.port), timeout=30)
    line.sendall(b"POST /predict/slow HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\n{")
    return line


def _await_ready(up: Running, limit_s: float = 30.0) -> None:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        try:
            if up.gateway("GET", "/ready", None)[0] == 200:
                return
        except ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError("the gateway did not get ready")
