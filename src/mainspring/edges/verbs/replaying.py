"""Answering a logged prediction again: the version from the registry, the rest from the log alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.kernel.errors import Conflict, Unavailable, WorkerFailed

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.version import Version
    from mainspring.serving.replay import Logged, Replay

_LOAD_S = 60.0


def replay_prediction(platform: Platform, id: str) -> list[Replay]:
    """Return what each version said then and says now about each row of a prediction."""
    found = platform.log.prediction(id)
    bodies = {row["row"]: row["body"] for row in found["requests"]}
    by_version: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in found["scored"]:
        if row["status"] == "ok" and row["output"] is not None:
            by_version[row["version"]].append(row)
    if not by_version:
        raise Conflict("no version answered it, so there is nothing to compare with", field="prediction", value=id)
    replays: list[Replay] = []
    for version_id, rows in by_version.items():
        logged = _logged(id, {row["row"]: row for row in rows}, bodies)
        replays += _replay_version(platform, platform.registry.version(version_id), logged)
    return replays


def _logged(id: str, rows: dict[int, dict[str, Any]], bodies: dict[int, Any]) -> list[Logged]:
    from mainspring.serving.replay import Logged

    return [
        Logged(id, place, _bytes(bodies[place]), _bytes(row["features"]), row["output"]) for place, row in rows.items()
    ]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value or "").encode()


def _replay_version(platform: Platform, version: Version, logged: list[Logged]) -> list[Replay]:
    from mainspring.serving.replay import replay

    views = [view.spec for view in platform.features.views(version.views)]
    columns = version.signature.requested or platform.registry.model(None, version.model).declared().columns
    with _running(platform, version) as run:
        return replay(logged, version.id, version.signature, columns, views, run)


@contextmanager
def _running(platform: Platform, version: Version) -> Iterator[Callable[[Sequence[Any]], Sequence[float]]]:
    """Run a version as it is served: a graph here, user code in a process of its own and never here."""
    from mainspring.adapters.runtimes.package import load_onnx
    from mainspring.serving.routing import Package, VersionRoute

    onnx = version.runtime == "onnx"
    package = Package(version.files, version.runtime, in_gateway=onnx)
    route = VersionRoute(version.id, version.number, package, version.signature, version.views, version.threshold)
    if onnx:
        yield load_onnx(route, platform.blobs.get).run
        return
    with TemporaryDirectory(prefix="mainspring-replay-") as folder, _process(platform, route, Path(folder)) as run:
        yield run


@contextmanager
def _process(platform: Platform, route: Any, run: Path) -> Iterator[Callable[[Sequence[Any]], Sequence[float]]]:
    import time

    from mainspring.adapters.runtimes.frames import socket_path
    from mainspring.adapters.runtimes.process import ask_and_wait
    from mainspring.adapters.runtimes.supervisor import ModelProcesses
    from mainspring.serving.routing import Routing

    processes = ModelProcesses(run=run, blobs=platform.home.blobs)
    processes.reconcile(Routing(generation=1, written_us=0, versions=(route,)))
    socket = socket_path(run, route.id)

    def ask(rows: Sequence[Any]) -> Sequence[float]:
        answer = ask_and_wait(socket, rows, _LOAD_S)
        if answer.faults:
            raise WorkerFailed(
                f"the model failed: {next(iter(answer.faults.values()))}", field="version", value=route.number
            )
        return [value for value in answer.values if value is not None]

    try:
        ends = time.monotonic() + _LOAD_S
        while not socket.exists():
            if time.monotonic() > ends:
                raise Unavailable("its model process did not start", field="version", value=route.number)
            time.sleep(0.05)
        yield ask
    finally:
        processes.stop()


def equal_everywhere(replays: Sequence[Replay]) -> bool:
    """Tell whether every row gave the same bytes."""
    return all(one.equal for one in replays)


def shown(id: str, replays: Sequence[Replay]) -> dict[str, Any]:
    """Return a replay as the verb gives it."""
    return {"id": id, "equal": equal_everywhere(replays), "rows": [msgspec.to_builtins(one) for one in replays]}
