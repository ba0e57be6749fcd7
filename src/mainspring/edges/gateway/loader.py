"""Makes snapshots: a version is loaded and warmed before it is swapped in, and let go of when nobody needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mainspring.adapters.runtimes.frames import socket_path
from mainspring.adapters.runtimes.launching import broken_file
from mainspring.adapters.runtimes.package import load_onnx
from mainspring.adapters.runtimes.process import ModelProcess
from mainspring.edges.gateway.engines import Engine, Local, Remote
from mainspring.edges.gateway.snapshot import Snapshot
from mainspring.features.ports import Latest
from mainspring.kernel.errors import Unavailable
from mainspring.serving.ports import GraphRuntime
from mainspring.serving.routing import Routing, VersionRoute

WAIT_FOR_PROCESS_S = 60.0
LOOK_EVERY_S = 0.2
HANG_UP_AFTER_S = 10.0  # requests that began under the old snapshot still use it


def _tell_nobody(event: str, level: str, **fields: Any) -> None:
    """Where nobody listens, nothing is told."""


class Loader:
    """Makes snapshots: verifies and warms what is new, keeps what is loaded, hangs up what nobody needs."""

    def __init__(
        self, run: Path, get: Callable[[str], bytes], most_requests: int, tell: Callable[..., None] = _tell_nobody
    ) -> None:
        self._run = run
        self._tell = tell
        self._most_requests = most_requests
        self._get = get
        self._engines: dict[tuple[str, bool], Engine] = {}

    async def load(self, routing: Routing, latest: Latest | None) -> Snapshot:
        """Return the snapshot once every version of it can answer; raises if a champion cannot."""
        engines: dict[str, Engine] = {}
        for version in routing.versions:
            engines[version.id] = await self._engine(version)
        await self._wait_for_processes(routing, engines)
        snapshot = Snapshot(routing, engines, latest)
        self._let_go({(version.id, version.package.in_gateway) for version in routing.versions})
        return snapshot

    async def _engine(self, version: VersionRoute) -> Engine:
        key = (version.id, version.package.in_gateway)
        if key not in self._engines:
            if version.package.in_gateway:
                loop = asyncio.get_running_loop()
                local = await loop.run_in_executor(None, _load_and_warm, version, self._get, self._tell)
                self._engines[key] = Local(local)
            else:
                self._engines[key] = Remote(ModelProcess(socket_path(self._run, version.id), self._most_requests))
        return self._engines[key]

    async def _wait_for_processes(self, routing: Routing, engines: dict[str, Engine]) -> None:
        lines = {id: engine.process for id, engine in engines.items() if isinstance(engine, Remote)}
        await asyncio.gather(*(self._wait_for(id, line) for id, line in lines.items() if not line.connected))
        for model in routing.models:
            engine = engines[model.champion]
            if isinstance(engine, Remote) and not engine.process.connected:
                raise Unavailable("the champion's process did not come up", field="model", value=model.name)

    async def _wait_for(self, version: str, line: ModelProcess) -> None:
        until_s = time.monotonic() + WAIT_FOR_PROCESS_S
        while not await line.open(LOOK_EVERY_S) and time.monotonic() < until_s:
            if broken_file(self._run, version).exists():
                return

    def _let_go(self, needed: set[tuple[str, bool]]) -> None:
        for key in [key for key in self._engines if key not in needed]:
            engine = self._engines.pop(key)
            if isinstance(engine, Remote):
                asyncio.get_running_loop().call_later(HANG_UP_AFTER_S, engine.process.close)

    def close(self) -> None:
        """Hang up on every model process."""
        for engine in self._engines.values():
            if isinstance(engine, Remote):
                engine.process.close()


def _load_and_warm(version: VersionRoute, get: Callable[[str], bytes], tell: Callable[..., None]) -> GraphRuntime:
    runtime = load_onnx(version, get)
    row = tuple("" if column.kind == "str" else 0 for column in version.signature.inputs)
    try:
        runtime.run([row])
        runtime.one(row)
    except Exception as error:  # a made-up row may be nonsense to the model; loading it is what counts
        tell("not_warmed", "warning", version=version.id, why=str(error)[:500])
    return runtime
