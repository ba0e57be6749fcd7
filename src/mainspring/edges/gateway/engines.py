"""What runs a version: its graph in this process, or the line to a process of its own; shared by snapshots."""

from __future__ import annotations

from mainspring.adapters.runtimes.process import ModelProcess
from mainspring.edges.gateway.metrics import Meters
from mainspring.serving.ports import GraphRuntime


class Latency:
    """The last 256 latencies of a version; the reserve that is kept for it when another is tried first."""

    __slots__ = ("_count", "_ring", "p99_us")

    def __init__(self) -> None:
        self._ring: list[int] = []
        self._count = 0
        self.p99_us = 5_000

    def add(self, latency_us: int) -> None:
        """Count one answer."""
        self._count += 1
        if len(self._ring) < 256:
            self._ring.append(latency_us)
        else:
            self._ring[self._count & 255] = latency_us
        if self._count & 63 == 0:
            self.p99_us = sorted(self._ring)[int(len(self._ring) * 0.99)]


class Local:
    """A version's graph in this process. Shared by snapshots."""

    __slots__ = ("latency", "meters", "runtime", "together")
    wait_s = 0.0  # it runs in the turn of the request itself

    def __init__(self, runtime: GraphRuntime) -> None:
        self.runtime = runtime
        self.together = runtime.together
        self.latency = Latency()
        self.meters = Meters()


class Remote:
    """The line to a version's own process. Shared by snapshots. ``admitted`` requests wait for their answer by it."""

    __slots__ = ("admitted", "latency", "meters", "process")
    together = False

    def __init__(self, process: ModelProcess) -> None:
        self.process = process
        self.admitted = 0
        self.latency = Latency()
        self.meters = Meters()

    @property
    def wait_s(self) -> float:
        """Return what a request would wait for, behind those that the process has already."""
        return self.process.wait_s(self.admitted)


Engine = Local | Remote
