"""The gateway against its floor and the usual choice, as ratios of one run: ``python bench/gateway.py [--seconds S]``.

Servers run on one core, the load on the other. What is compared is measured in turns, and the medians of several short
rounds are told: of requests a second, and of processor time a request, which a busy machine spoils less. The load is
``wrk`` (on Debian: ``apt-get install wrk``); without it a client of our own, which is slower, takes its place.

``bare`` is the floor: the same graph behind the same server, without routing, features or log; see ``bench/_floor.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import _flights as flights
import msgspec

from mainspring.testing.traffic import Traffic
from mainspring.training.conversion.pack import pack

HERE = Path(__file__).parent
SCRIPT = """
local bodies, i = {}, 0
for line in io.lines(os.getenv("BODY_FILE")) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request() i = i % #bodies + 1 return wrk.format(nil, nil, nil, bodies[i]) end
function done(s, lat, _)
  local bad = s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout
  io.write(string.format('{"duration_s": %.6f, "p99_ms": %.4f, "answered": %d, "errors": %d}\\n',
    s.duration / 1e6, lat:percentile(99) / 1e3, s.requests, bad))
end
"""


class Target(msgspec.Struct):
    """A server that is measured: its process, and what it is asked."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    bodies: list[str]
    lists: list[str]

    def cpu_s(self) -> float:
        """Return the processor time of all its threads."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return sum(int((one / "schedstat").read_text().split()[0]) for one in folder.iterdir()) / 1e9

    def rss_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1_024 for line in lines if line.startswith("VmRSS"))


class Rate(msgspec.Struct):
    """What a target did in one round."""

    rate: float
    cpu_us: float
    p99_ms: float


class Load:
    """Asks a target as fast as it answers, from a core of its own."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.wrk = shutil.which("wrk")
        self._folder = folder
        self._seconds = seconds
        (folder / "post.lua").write_text(SCRIPT)
        if self.wrk is None:
            print("wrk is not installed (Debian: apt-get install wrk); our own, slower client asks instead")

    def round(self, target: Target, connections: int, bodies: list[str], core: str = "1") -> Rate | None:
        """Return one round's rate; None where the machine was so busy that nothing was answered."""
        before_s = target.cpu_s()
        if self.wrk:
            said = self._wrk(target.url, connections, bodies, core)
        else:
            said = asyncio.run(self._own(target.url, connections, bodies))
        spent_s = target.cpu_s() - before_s
        if said["errors"]:
            raise RuntimeError(f"{target.name}: {said['errors']} of {said['answered']} requests failed")
        if said["answered"] < connections:
            return None
        return Rate(said["answered"] / said["duration_s"], spent_s / said["answered"] * 1e6, said["p99_ms"])

    def _wrk(self, url: str, connections: int, bodies: list[str], core: str) -> dict[str, float]:
        file = self._folder / "bodies.txt"
        file.write_text("\n".join(bodies) + "\n")
        command = [self.wrk or "", "-t1", f"-c{connections}", f"-d{self._seconds:.0f}s", "-s", "post.lua", url]
        done = subprocess.run(
            _pinned(command, core), cwd=self._folder, env={**os.environ, "BODY_FILE": str(file)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return said

    async def _own(self, url: str, connections: int, bodies: list[str]) -> dict[str, float]:
        asked_of = urlsplit(url)
        port, path = asked_of.port or 80, asked_of.path
        asked = [body.encode() for body in bodies] * 5
        async with Traffic("127.0.0.1", port, connections) as traffic:
            began_s = time.perf_counter()
            while time.perf_counter() - began_s < self._seconds:
                await traffic.post(path, asked)
            spent_s = time.perf_counter() - began_s
        return {"duration_s": spent_s, "p99_ms": 0.0, "answered": traffic.answered, "errors": traffic.failed}


class Bench:
    """The servers of one run, and what is told of them."""

    def __init__(self, folder: Path, site: flights.Site, seconds: float, rounds: int) -> None:
        self.folder = folder
        self.site = site
        self.rounds = rounds
        self.load = Load(folder, seconds)
        self._port = 18_430

    @contextmanager
    def serving(self, *kinds: str) -> Iterator[list[Target]]:
        """Run some servers; kinds are homes (``gateway:NAME``) or handlers of ``bench/_floor.py``."""
        targets: list[Target] = []
        try:
            for kind in kinds:
                targets.append(self._start(kind))
            for target in targets:
                wait_for(target.url, target.bodies[0])
            yield targets
        finally:
            for target in targets:
                target.process.terminate()
            for target in targets:
                target.process.wait()

    def _start(self, kind: str) -> Target:
        self._port += 1
        if kind.startswith("gateway:"):
            command = [sys.executable, "-m", "mainspring.edges.gateway", "--port", str(self._port)]
            command += ["--home", str(self.folder / kind.removeprefix("gateway:"))]
            url, own, lists = f"http://127.0.0.1:{self._port}/predict/late", self.site.own, self.site.own_lists
        else:
            model = self.site.estimator if kind == "fastapi" else self.site.graph
            command = [sys.executable, str(HERE / "_floor.py"), kind, str(self._port), model]
            url, own, lists = f"http://127.0.0.1:{self._port}/", self.site.bare, self.site.bare_lists
        process = subprocess.Popen(
            _pinned(command, "0"), env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
        )
        return Target(kind, process, url, own, lists)

    def compare(self, what: str, targets: Sequence[Target], connections: int, *, lists: bool = False) -> None:
        """Measure targets in turns and print each one's ratio to the last, which is the one compared with."""
        found: dict[str, list[Rate]] = {target.name: [] for target in targets}
        for _ in range(self.rounds):
            for target in targets:
                rate = self.load.round(target, connections, target.lists if lists else target.bodies)
                if rate is not None:
                    found[target.name].append(rate)
        if not all(found.values()):
            print(f"{what}: the machine was too busy, nothing was answered")
            return
        last = _median(found[targets[-1].name])
        for target in targets:
            own = _median(found[target.name])
            print(
                f"{what:24} {target.name:18} {own.rate:8.0f}/s × {own.rate / last.rate:5.2f}   "
                f"{own.cpu_us:8.1f} µs × {last.cpu_us / own.cpu_us:5.2f}   p99 {own.p99_ms - last.p99_ms:+.3f} ms",
                flush=True,
            )


def _median(rates: Sequence[Rate]) -> Rate:
    return Rate(*(statistics.median(getattr(one, name) for one in rates) for name in ("rate", "cpu_us", "p99_ms")))


def wait_for(url: str, body: str, timeout_s: float = 60.0) -> None:
    """Ask until there is an answer."""
    until_s = time.monotonic() + timeout_s
    while True:
        request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.005)


def cold_start(bench: Bench, home: str) -> None:
    """Print how long it takes from the start of a process to its first answer, beside a bare handler's."""
    spent: dict[str, list[float]] = {f"gateway:{home}": [], "bare": []}
    for _ in range(3):
        for kind, taken in spent.items():
            began_s = time.perf_counter()
            with bench.serving(kind):
                taken.append(time.perf_counter() - began_s)
    ours, bare = (min(taken) for taken in spent.values())
    print(f"start to first answer: {ours:.2f} s; bare handler {bare:.2f} s")


def two_workers(bench: Bench, home: str) -> None:
    """Print what a second worker adds, where load and workers share two cores: the load takes its part of them."""
    port = 18_429
    command = [sys.executable, "-m", "mainspring.edges.gateway", "--port", str(port)]
    command += ["--home", str(bench.folder / home)]
    url, rates = f"http://127.0.0.1:{port}/predict/late", []
    for count in (1, 2):
        workers = [
            subprocess.Popen([*command, "--workers", "2", "--worker", str(number)], stderr=subprocess.DEVNULL)
            for number in range(count)
        ]
        try:
            wait_for(url, bench.site.own[0])
            time.sleep(2.0)
            target = Target("worker", workers[0], url, bench.site.own, bench.site.own_lists)
            found = []
            for bodies in (bench.site.own, bench.site.own_lists):
                turns = [bench.load.round(target, 64, bodies, "0,1") for _ in range(bench.rounds)]
                found.append(statistics.median(one.rate for one in turns if one is not None))
            rates.append(found)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()
    for what, one, two in zip(("one row", "100 rows"), *rates, strict=True):
        print(f"two workers, {what}: {two:.0f}/s, one: {one:.0f}/s, × {two / one:.2f}; the load shares the cores")


def _pinned(command: list[str], core: str) -> list[str]:
    return ["taskset", "-c", core, *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command


def main(seconds: float, rounds: int, graph: Path | None) -> None:
    began_load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = flights.prepare(folder, graph)
        packed = pack(Path(site.graph).read_bytes())
        flights.home(site, "columns")
        flights.home(site, "packed", packed=packed)
        flights.home(site, "durable", "durable")
        flights.home(site, "twenty", packed=packed, others=18)
        bench = Bench(folder, site, seconds, rounds)
        print(f"load of the machine before: {began_load:.1f}")
        print("ratios (×) of requests a second, and of processor time a request, to the last of each group; added p99")
        with bench.serving("gateway:packed", "gateway:columns", "bare") as targets:
            for connections in (1, 16, 64):
                bench.compare(f"one row, {connections} connections", targets, connections)
            bench.compare("100 rows, 16", targets, 16, lists=True)
            packed_one, columns, bare = (target.rss_mb() for target in targets)
            print(
                f"memory: packed {packed_one:.0f} MB, columns {columns:.0f} MB, bare {bare:.0f} MB, "
                f"× {packed_one / bare:.2f}"
            )
        if find_spec("fastapi") and find_spec("uvicorn"):
            with bench.serving("gateway:packed", "fastapi") as targets:
                bench.compare("one row, 16", targets, 16)
        else:
            print("FastAPI, the usual choice, is not installed: pip install fastapi uvicorn")
        with bench.serving("gateway:durable", "synced") as targets:
            bench.compare("durable, 64", targets, 64)
        with bench.serving("gateway:twenty", "gateway:packed") as targets:
            bench.compare("20 versions loaded, 16", targets, 16)
        two_workers(bench, "packed")
        cold_start(bench, "packed")
        print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seconds", type=float, default=2.0, help="of each round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--graph", type=Path, help="another ONNX graph with the same inputs")
    given = options.parse_args()
    main(given.seconds, given.rounds, given.graph)
