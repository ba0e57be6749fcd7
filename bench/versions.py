"""What many versions cost: 500 registered, 20 of them loaded, beside a home with two registered and one loaded.

``python bench/versions.py``. Both homes are made by the registry and published by the loop; requests of one row go to
one model of each, in turns. The bound is the ratio of processor time a request: at most 1.1 between the two.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.platform import Platform, open_platform
from mainspring.registry.version import Version
from mainspring.testing.models import linear_onnx
from mainspring.testing.traffic import Traffic

BOUND = 1.1
ROUNDS, REQUESTS, CONNECTIONS = 5, 6_000, 16
PORTS = iter(range(18_481, 18_490))
MODEL = """
{name} = ms.Model(
    "{name}", entity="item", inputs=["x"], predict_at="at", task="binary",
    outcome=ms.Outcome("left > 5", source=stock, matures_after="1h", affected_by_answer=False),
    release=ms.Canary(
        shadow="200d", steps=[0.5], hold="1h", metric="log_loss", margin=0.1, minimum_units=200, deadline="900d"
    ),
)


@{name}.rule
def half_{name}(frame, params):
    return 0.0 * frame["x"] + 0.5
"""
HEAD = 'import mainspring as ms\n\nstock = ms.Source("stock", "stock.csv", time="at", known_at="at", key="item")\n'


def main() -> None:
    """Print what routing and requests cost in either home, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        homes = [_made(Path(folder), name, models, each) for name, models, each in (("few", 1, 2), ("many", 20, 25))]
        few, many = asyncio.run(_compared(homes))
    ratio = many / few
    print(f"a request: {1e6 * few:.0f} and {1e6 * many:.0f} µs of the gateway's processor time, {ratio:.2f} x")
    print(f"the bound is {BOUND} x")
    raise SystemExit(ratio > BOUND)


def _made(folder: Path, name: str, models: int, each: int) -> Path:
    """Make a home with so many models, of so many versions each; the first of each is its champion."""
    home = create_home(folder / name)
    project = folder / f"{name}-project"
    project.mkdir()
    names = [f"late{number}" for number in range(models)]
    (project / "project.py").write_text(HEAD + "".join(MODEL.format(name=one) for one in names))
    (project / "stock.csv").write_text("item,x,at,left\na,1.0,2026-01-01T00:00Z,9\nb,2.0,2026-01-02T00:00Z,1\n")
    with closing(open_platform(home)) as platform:
        platform.projects.apply(project, by="ann")
        for weight, one in enumerate(names):
            _register(platform, one, project / "graph.onnx", float(weight), each)
        platform.loop.step()
        file = RoutingFile(home.routing, LocalDisk())
        routing = file.read()
        assert routing is not None
        print(
            f"{name}: {sum(len(platform.registry.versions(row.id)) for row in platform.registry.models())} registered, "
            f"{len(routing.versions)} loaded; routing/current has {(home.routing / 'current').stat().st_size} bytes, "
            f"is read in {_ms(file.read):.2f} ms, looked at in {_ms(file.mark):.3f} ms; a step of the loop takes "
            f"{_ms(platform.loop.step):.0f} ms"
        )
    return Path(home.root)


def _register(platform: Platform, name: str, graph: Path, weight: float, each: int) -> None:
    model = platform.registry.model(None, name)
    graph.write_bytes(linear_onnx({"x": weight}))
    first: Version = platform.intake.register_graph(model.id, graph, by="ann", reason="a bench")
    for result in platform.checks.run(first.id, by="ann"):
        if result.blocks:
            platform.checks.override(first.id, result.name, by="ann", reason="a bench")
    platform.releases.first_champion(model.id, first.id, by="ann", reason="a bench")
    for number in range(1, each):
        files = {**first.files, "model.onnx": platform.blobs.put(linear_onnx({"x": weight + number / 100}))}
        with platform.store.begin("ann") as tx:
            platform.registry.register(tx, msgspec.structs.replace(first, id="", files=files))


def _ms(call: Callable[[], object]) -> float:
    spent = []
    for _ in range(7):
        began_s = time.perf_counter()
        call()
        spent.append(1e3 * (time.perf_counter() - began_s))
    return statistics.median(spent)


async def _compared(homes: list[Path]) -> list[float]:
    """Return the processor time of a request to each home's gateway, the median of rounds in turns."""
    ports = [next(PORTS) for _ in homes]
    command = [sys.executable, "-m", "mainspring.edges.gateway"]
    gateways = [
        subprocess.Popen([*command, "--home", str(home), "--port", str(port)], stderr=subprocess.DEVNULL)
        for home, port in zip(homes, ports, strict=True)
    ]
    body = json.dumps({"item": "a", "x": 1.0}).encode()
    spent: list[list[float]] = [[] for _ in homes]
    try:
        for port in ports:
            await Traffic("127.0.0.1", port).wait_until_ready(60)
        for _ in range(ROUNDS + 1):
            for place, (port, gateway) in enumerate(zip(ports, gateways, strict=True)):
                async with Traffic("127.0.0.1", port, connections=CONNECTIONS) as traffic:
                    before_s = _cpu_s(gateway.pid)
                    await traffic.post("/predict/late0", [body] * REQUESTS)
                    assert traffic.failed == 0
                    spent[place].append((_cpu_s(gateway.pid) - before_s) / REQUESTS)
    finally:
        for gateway in gateways:
            gateway.terminate()
        for gateway in gateways:
            gateway.wait()
    return [statistics.median(values[1:]) for values in spent]


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, of all its threads, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((tasks / task / "schedstat").read_text().split()[0]) for task in os.listdir(tasks)) / 1e9


if __name__ == "__main__":
    main()
