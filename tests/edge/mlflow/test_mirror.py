"""Aliases are mirrored to a real MLflow server: what is, again and again; a server that is away holds nothing up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import mainspring as ms
from mainspring.adapters.home import Home
from mainspring.adapters.trackers.mlflow import MlflowTracker
from mainspring.loop.mirror import Mirror
from mainspring.platform import Platform, open_platform

pytest.importorskip("mlflow", reason="the extra mlflow brings it")
START_S = 180.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one MLflow server for all tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    words = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += [
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder),
    ]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environ, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until_s:
                raise AssertionError(log.read_text()[-2_000:]) from None
            time.sleep(0.2)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Return an open home with two versions of ``late``; the first is champion."""
    sample = pd.DataFrame({"distance": [float(n) for n in range(60)]})
    for above in (20, 30):
        estimator = LogisticRegression(max_iter=1_000).fit(sample, sample["distance"] > above)
        ms.register(estimator, sample, name="late", home=tmp_path / "home", by="ada")
    opened = open_platform(Home(tmp_path / "home"))
    yield opened
    opened.close()


def there(url: str, name: str = "late") -> dict[str, str]:
    """Return our version numbers that the server's aliases lead to, as MLflow's client sees them."""
    import mlflow

    client = mlflow.MlflowClient(url)
    aliases = client.get_registered_model(name).aliases
    return {alias: client.get_model_version_by_alias(name, alias).tags["mainspring.number"] for alias in aliases}


def test_aliases_are_mirrored_moved_and_mirrored_again_without_doubles(server: str, platform: Platform) -> None:
    mirror = Mirror(registry=platform.registry, tracker=MlflowTracker(server, home=platform.home.file.id))
    assert mirror.step() is True
    assert there(server) == {"champion": "1", "anchor": "1"}
    assert mirror.state().changed == 4  # the model, its version and two aliases
    assert mirror.step() is False

    model = platform.registry.models()[0]
    second = platform.registry.by_number(model.id, 2)
    with platform.store.begin("ada") as tx:
        platform.registry.point(tx, model.id, "challenger", second.id, "a test")
    assert mirror.step() is True
    assert there(server) == {"champion": "1", "anchor": "1", "challenger": "2"}

    fresh = Mirror(registry=platform.registry, tracker=MlflowTracker(server, home=platform.home.file.id))
    assert fresh.step() is True
    assert fresh.state().changed == 0


def test_a_server_that_is_away_is_asked_again_later_and_the_reason_is_kept(platform: Platform) -> None:
    now_s = 0.0
    tracker = MlflowTracker(f"http://127.0.0.1:{free_port()}", home="hom_1")
    mirror = Mirror(registry=platform.registry, tracker=tracker, monotonic_s=lambda: now_s)
    assert mirror.step() is False
    assert "did not answer" in mirror.state().trouble
    tried = mirror._not_before_s
    assert tried == 2.0
    now_s = 1.9
    mirror.step()
    assert mirror._not_before_s == tried
    now_s = 2.0
    mirror.step()
    assert mirror._not_before_s == 6.0


class Gate:
    """A port that leads to a server, or nowhere: whoever connects while it is shut is hung up on, or never answered."""

    def __init__(self, server: str) -> None:
        self._port = int(server.rpartition(":")[2])
        self.open = False
        self.silent = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._door.accept()
                self._held.append(here)
                if not self.open:
                    if not self.silent:
                        here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._port))
                self._held.append(there)
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        for one in (self._door, *self._held):
            one.close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def gate(server: str) -> Iterator[Gate]:
    made = Gate(server)
    yield made
    made.close()


def point(platform: Platform, alias: str, number: int) -> None:
    model = platform.registry.models()[0]
    version = platform.registry.by_number(model.id, number)
    with platform.store.begin("ada") as tx:
        platform.registry.point(tx, model.id, alias, version.id, "a test")


def test_after_an_hour_without_its_server_the_mirror_tells_what_is_then(gate: Gate, platform: Platform) -> None:
    now_s = 0.0
    tracker = MlflowTracker(gate.url, home=platform.home.file.id)
    mirror = Mirror(registry=platform.registry, tracker=tracker, monotonic_s=lambda: now_s)
    tried = 0
    for second in range(3_600):  # as control looks, every second
        now_s = float(second)
        before = mirror._failures
        assert mirror.step() is False
        tried += mirror._failures - before
        if second == 1_800:
            point(platform, "champion", 2)
        if second == 1_900:
            point(platform, "challenger", 1)
    assert 10 < tried < 25
    assert mirror.state().trouble
    gate.open = True
    now_s = mirror._not_before_s
    assert now_s < 3_600 + 300
    assert mirror.step() is True
    assert there(gate.url) == {"champion": "2", "anchor": "1", "challenger": "1"}
    assert mirror.state().trouble == ""


def test_nothing_waits_for_a_server_that_does_not_answer(gate: Gate, platform: Platform) -> None:
    gate.silent = True
    tracker = MlflowTracker(gate.url, home=platform.home.file.id, timeout_s=20.0)
    mirror = Mirror(registry=platform.registry, tracker=tracker)
    telling = threading.Thread(target=mirror.step, daemon=True)
    telling.start()
    while not gate._held:
        time.sleep(0.01)
    point(platform, "champion", 2)
    assert platform.registry.alias(platform.registry.models()[0].id, "champion").number == 2
    assert telling.is_alive()
    gate.close()
    telling.join(60)
    assert "champion" not in mirror.state().told
    assert mirror.state().trouble


def test_without_a_server_nothing_is_mirrored(platform: Platform) -> None:
    assert platform.mirror.step() is False
    assert platform.mirror.state().configured is False
