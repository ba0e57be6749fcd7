"""Three times the load that a gateway can take, and a hundred swaps under load.

Run: python bench/overload.py [seconds]. The gateway has one core, the callers have the other. First the peak: a closed
loop of 16 connections. Then an open loop that asks at three times that rate, whatever comes back: goodput is what is
answered with 200 within the deadline of a second. Both in turns, so that other work on the machine meets both.
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
from pathlib import Path
from typing import Any

from flights import Site, home, prepare

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.kernel.schema import Column
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

DEADLINE_S = 1.0
LINES = 600
ROUNDS = 3
PORTS = iter(range(18461, 18480))


class Line(asyncio.Protocol):
    """One connection of the open loop; it is free again when its answer has come."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._began_s = 0.0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._load.free.append(self)

    def ask(self, request: bytes) -> None:
        self._began_s = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._load.note(int(data[9:12]), time.perf_counter() - self._began_s)
        self._load.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost += 1


class Load:
    """An open loop: requests leave by the clock, on any free connection."""

    def __init__(self) -> None:
        self.free: list[Line] = []
        self.took: dict[int, list[float]] = {}
        self.lost = self.unsent = 0

    def note(self, status: int, took_s: float) -> None:
        self.took.setdefault(status, []).append(took_s)

    async def run(self, port: int, request: bytes, rate: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(LINES):
            await loop.create_connection(lambda: Line(self), "127.0.0.1", port)
        began_s, sent = time.perf_counter(), 0
        while (passed_s := time.perf_counter() - began_s) < seconds:
            due = int(passed_s * rate)
            while sent < due:
                sent += 1
                if self.free:
                    self.free.pop(0).ask(request)
                else:
                    self.unsent += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(DEADLINE_S + 0.5)


def http_request(path: str, body: str) -> bytes:
    data = body.encode()
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


async def peak(port: int, path: str, body: str, seconds: float) -> float:
    """Return answers a second over 16 connections that always ask."""
    async with Traffic("127.0.0.1", port, connections=16) as traffic:
        await traffic.post(path, [body.encode()] * 32)
        before, began_s = traffic.answered - traffic.failed, time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            await traffic.post(path, [body.encode()] * 64)
        return (traffic.answered - traffic.failed - before) / (time.perf_counter() - began_s)


async def idle_ms(port: int) -> list[float]:
    """Return how long the cheapest answer takes while nothing else is asked: what the machine adds by itself."""
    took = []
    async with Traffic("127.0.0.1", port, connections=1) as traffic:
        for _ in range(300):
            began_s = time.perf_counter()
            await traffic.post("/nowhere", [b""])
            took.append(1e3 * (time.perf_counter() - began_s))
    return took


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(folder: Path, port: int) -> list[subprocess.Popen[bytes]]:
    """Start a gateway and its model processes on the first core."""
    commands = (
        ["mainspring.edges.gateway.models", "--home", str(folder)],
        ["mainspring.edges.gateway", "--home", str(folder), "--port", str(port)],
    )
    return [
        subprocess.Popen(["taskset", "-c", "0", sys.executable, "-m", *command], stderr=subprocess.DEVNULL)
        for command in commands
    ]


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


async def overload(name: str, folder: Path, body: str, seconds: float) -> None:
    """Measure one home in turns and print what became of what was asked."""
    port = next(PORTS)
    processes = start(folder, port)
    try:
        await Traffic("127.0.0.1", port).wait_until_ready(60)
        ratios, refused_ms, idle, counts = [], [], [], dict.fromkeys(("200", "429", "other", "unsent", "lost"), 0)
        path = "/predict/late"
        await peak(port, path, body, 1.0)
        before_mb = resident_mb(processes[1].pid)
        for _ in range(ROUNDS):
            idle += await idle_ms(port)
            most = await peak(port, path, body, seconds)
            load = Load()
            await load.run(port, http_request(path, body), 3 * most, seconds)
            good = [took for took in load.took.get(200, []) if took <= DEADLINE_S]
            ratios.append(len(good) / seconds / most)
            refused_ms += [1e3 * took for took in load.took.get(429, [])]
            counts["200"] += len(good)
            counts["429"] += len(load.took.get(429, []))
            counts["other"] += sum(len(took) for status, took in load.took.items() if status not in (200, 429))
            counts["unsent"] += load.unsent
            counts["lost"] += load.lost
            for line in load.free:
                line.transport.close()
        grown_mb = resident_mb(processes[1].pid) - before_mb
    finally:
        stop(processes)
    print(
        f"{name}: goodput {statistics.median(ratios):.2f} of the peak ({', '.join(f'{one:.2f}' for one in ratios)}); "
        f"refusals p50 {percentile(refused_ms, 0.5):.1f} ms, p99 {percentile(refused_ms, 0.99):.1f} ms "
        f"(the machine alone: {percentile(idle, 0.5):.1f} and {percentile(idle, 0.99):.1f} ms); "
        f"grown by {grown_mb:.0f} MB; {counts}"
    )


async def swaps(folder: Path, count: int) -> None:
    """Swap versions under as much load as eight connections make, and count what failed."""
    made = create_home(folder)
    disk = LocalDisk()
    blobs, file = FileBlobs(made.blobs, disk), RoutingFile(made.routing, disk)
    versions = [
        onnx_version(blobs, f"ver_{n}", n, linear_onnx({"distance": 0.01 * n}), (Column("distance", "float"),))
        for n in range(1, count + 2)
    ]
    file.write(routing(1, model_route(versions[0]), versions[:1]))
    port = next(PORTS)
    processes = start(folder, port)
    body = json.dumps({"id": "f1", "distance": 1.0, "carrier": "UA"})
    try:
        await Traffic("127.0.0.1", port).wait_until_ready(60)
        async with Traffic("127.0.0.1", port, connections=8) as traffic:
            over = False

            async def ask() -> None:
                while not over:
                    await traffic.post("/predict/late", [body.encode()] * 100)

            asking = asyncio.create_task(ask())
            for number in range(2, count + 2):
                one = versions[number - 1]
                await asyncio.to_thread(file.write, routing(number, model_route(one), [one]))
                while file.acknowledgements()["gateway-0"][0] != number:
                    await asyncio.sleep(0.01)
            over = True
            await asking
    finally:
        stop(processes)
    print(f"{count} swaps while 8 connections always ask: {traffic.failed} of {traffic.sent} requests failed")


async def main(seconds: float) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        site: Site = prepare(Path(folder))
        await overload("graph in the gateway, 100 rows", home(site, "local"), site.own_lists[0], seconds)
        await overload("graph in the gateway, one row", home(site, "single"), site.own[0], seconds)
        remote = home(site, "remote", in_gateway=False)
        await overload("model process, 100 rows", remote, site.own_lists[0], seconds)
        await swaps(Path(folder) / "swaps", 100)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
