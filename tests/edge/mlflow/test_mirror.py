"""Aliases are mirrored to a real MLflow server: what is, again and again; a server that is away holds nothing up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
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


def test_without_a_server_nothing_is_mirrored(platform: Platform) -> None:
    assert platform.mirror.step() is False
    assert platform.mirror.state().configured is False
