"""Three times the load that a gateway can take, and a hundred swaps under load.

Run: python bench/overload.py [seconds]. The gateway has one core, the callers have the other. First the peak: a closed
loop of 16 connections. Then an open loop that asks at three times that rate, whatever comes back: goodput is what is
answered with 200 within the deadline of a second. Both in turns, so that other work on the machine meets both. A
refusal has two times: until the caller's kernel has it, and until the caller, who shares the machine, has read it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _flights import Site, home, prepare

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import create_home
from mainspring.adapters.routing import RoutingFile
from mainspring.kernel.schema import Column
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

DEADLINE_S = 1.0
LINES = 900
ROUNDS = 3
PORTS = iter(range(18461, 18480))


def http_request(path: str, body: str) -> bytes:
    data = body.encode()
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


async def own_peak(port: int, path: str, body: str, seconds: float) -> float:
    """Return the same by a client of our own, which is slower."""
    async with Traffic("127.0.0.1", port, connections=16) as traffic:
        began_s = time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            await traffic.post(path, [body.encode()] * 64)
        return (traffic.answered - traffic.failed) / (time.perf_counter() - began_s)


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


def open_loop(port: int, request: bytes, rate: float, seconds: float) -> dict[str, Any]:
    """Ask at a rate, in a process of its own on the callers' core."""
    order = {
        "port": port, "request": request.decode(), "rate": rate, "seconds": seconds, "connections": LINES
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("_openloop.py"))]
    done = subprocess.run(command, input=json.dumps(order).encode(), stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def spent_s(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Turn:
    """What one turn of peak and overload came to."""

    def __init__(self, port: int, pid: int, path: str, body: str, seconds: float) -> None:
        before_s = spent_s(pid)
        self.peak = peak(port, path, body, seconds)
        answer_s = (spent_s(pid) - before_s) / (self.peak * seconds)
        before_s = spent_s(pid)
        self.said = open_loop(port, http_request(path, body), 3 * self.peak, seconds)
        took = spent_s(pid) - before_s
        self.good = [one for one in self.said["server_s"].get("200", []) if one <= DEADLINE_S]
        self.ratio = len(self.good) / seconds / self.peak
        refused = len(self.said["server_s"].get("429", []))
        self.refusal_share = (took - len(self.good) * answer_s) / refused / answer_s if refused else 0.0


def peak(port: int, path: str, body: str, seconds: float) -> float:
    """Return answers a second over 16 connections that always ask; by ``wrk`` where there is one."""
    if shutil.which("wrk") is None:
        return asyncio.run(own_peak(port, path, body, seconds))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = {json.dumps(body)}\n")
        script.flush()
        command = ["wrk", "-t1", "-c16", f"-d{max(1, round(seconds))}s", "-s", script.name]
        said = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    return float(said.split("Requests/sec:")[1].split()[0])


def overload(name: str, folder: Path, body: str, seconds: float) -> None:
    """Measure one home in turns and print what became of what was asked."""
    port = next(PORTS)
    processes = start(folder, port)
    try:
        asyncio.run(Traffic("127.0.0.1", port).wait_until_ready(60))
        pid, path = processes[1].pid, "/predict/late"
        peak(port, path, body, 1.0)
        before_mb = resident_mb(pid)
        turns = [Turn(port, pid, path, body, seconds) for _ in range(ROUNDS)]
        grown_mb = resident_mb(pid) - before_mb
    finally:
        stop(processes)
    server_ms = [1e3 * took for turn in turns for took in turn.said["server_s"].get("429", [])]
    client_ms = [1e3 * took for turn in turns for took in turn.said["client_s"].get("429", [])]
    counts = {
        status: sum(len(turn.said["server_s"].get(status, [])) for turn in turns) for status in ("200", "429", "504")
    }
    counts |= {what: sum(turn.said[what] for turn in turns) for what in ("unsent", "lost", "unanswered")}
    print(
        f"{name}: peak {statistics.median(turn.peak for turn in turns):.0f}/s; "
        f"goodput {statistics.median(turn.ratio for turn in turns):.2f} of it "
        f"({', '.join(f'{turn.ratio:.2f}' for turn in turns)}); "
        f"a refusal takes {statistics.median(turn.refusal_share for turn in turns):.2f} of an answer's processor time, "
        f"and until the caller's kernel has it p50 {percentile(server_ms, 0.5):.1f} ms, "
        f"p90 {percentile(server_ms, 0.9):.1f}, p99 {percentile(server_ms, 0.99):.1f}; "
        f"until the caller has read it {percentile(client_ms, 0.5):.1f}, {percentile(client_ms, 0.9):.1f}, "
        f"{percentile(client_ms, 0.99):.1f} ms; grown by {grown_mb:.0f} MB; {counts}"
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


def main(seconds: float) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        site: Site = prepare(Path(folder))
        overload("graph in the gateway, 100 rows", home(site, "local"), site.own_lists[0], seconds)
        overload("graph in the gateway, one row", home(site, "single"), site.own[0], seconds)
        remote = home(site, "remote", in_gateway=False)
        overload("model process, 100 rows", remote, site.own_lists[0], seconds)
        asyncio.run(swaps(Path(folder) / "swaps", 100))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
