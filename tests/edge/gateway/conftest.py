"""A real gateway worker and real model processes on a real home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home, create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.log.frame import read_groups
from mainspring.log.records import Record
from mainspring.serving.routing import Routing


class Site:
    """One home with the processes that a test starts in it."""

    def __init__(self, root: Path) -> None:
        self.home: Home = create_home(root)
        self.disk = LocalDisk()
        self.blobs = FileBlobs(self.home.blobs, self.disk)
        self.file = RoutingFile(self.home.routing, self.disk)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = 0

    def publish(self, routing: Routing) -> None:
        self.file.write(routing)

    def start(self, module: str, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, "--home", str(self.home.root), *arguments]
        log = (self.home.run / f"{module}.log").open("ab")
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def gateway(self, worker: int = 0, **environ: str) -> subprocess.Popen[bytes]:
        process = self.start("mainspring.edges.gateway", "--port", str(self.port), "--worker", str(worker), **environ)
        file = self.home.run / f"gateway-{worker}.json"
        self.wait(lambda: file.exists() and json.loads(file.read_bytes())["pid"] == process.pid)
        self.port = json.loads(file.read_bytes())["port"]
        return process

    def models(self, **environ: str) -> subprocess.Popen[bytes]:
        return self.start("mainspring.edges.gateway.models", **environ)

    def ready(self, generation: int = 1, worker: str = "gateway-0") -> None:
        self.wait(lambda: self.file.acknowledgements().get(worker, (0, 0))[0] == generation)

    def wait(self, condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
        until = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > until:
                raise AssertionError("waited in vain:\n" + self.logs())
            time.sleep(0.02)

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.home.run.glob("*.log")))

    def ask(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, _body(answer.read()), dict(answer.headers.items())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _body(error.read()), dict(error.headers.items())

    def predict(self, body: Any, **headers: str) -> tuple[int, Any]:
        status, said, _ = self.ask("/predict/late", body, **headers)
        return status, said

    def records(self, kind: type[Record] | None = None) -> list[Any]:
        """Return everything in the spool, in the order of writing."""
        found: list[Any] = []
        for segment in sorted(self.home.spool.glob("[!.]*/*.seg")):
            found += read_groups(segment.read_bytes()).records
        return [record for record in found if kind is None or isinstance(record, kind)]

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _body(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data.decode(errors="replace")


@pytest.fixture(scope="session")
def new_site() -> type[Site]:
    return Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home")
    try:
        yield made
    finally:
        made.stop()
