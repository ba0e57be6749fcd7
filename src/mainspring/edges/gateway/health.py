"""``/live``, ``/ready``, ``/metrics`` and ``/drained``: is it alive, may it be asked, how much, what is left to do."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.gateway.engines import Remote
from mainspring.edges.gateway.limits import JSON
from mainspring.edges.gateway.metrics import OPEN_METRICS, TEXT, Samples, exposition
from mainspring.edges.gateway.snapshot import Model

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

SHARE_EVERY_S = 2.0
_STARTED_S = time.time()


async def live(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say that the process turns."""
    return _respond(proto, b'{"live":true}')


async def ready(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say whether a snapshot is loaded and the spool takes writes."""
    why = await gateway.not_ready()
    generation = gateway.follower.generation
    told = {} if why is None or gateway.guard.closed else {"why": why}  # a network is not told our paths
    body = msgspec.json.encode({"ready": why is None, "generation": generation, **told})
    return _respond(proto, body, 200 if why is None else 503)


async def metrics(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Tell Prometheus of all workers that share this port; the others' numbers are at most two seconds old."""
    own = await gather(gateway)
    others = await asyncio.get_running_loop().run_in_executor(None, gateway.shared.others)
    workers = sorted([own, *others], key=lambda samples: samples.worker)
    wanted = "application/openmetrics-text" in scope.headers.get("accept", "")
    kind = ("content-type", OPEN_METRICS if wanted else TEXT)
    proto.response_bytes(200, [kind], exposition(workers, open_metrics=wanted))
    return 200


async def drained(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Say how many rows are left for the shadows; a simulation waits for ``waiting`` to be 0: then all are logged."""
    shadows = gateway.shadows
    counts = {"queued": shadows.queued, "done": shadows.done, "dropped": shadows.dropped, "waiting": shadows.waiting}
    if shadows.waiting == 0 and gateway.spooling:
        await asyncio.get_running_loop().run_in_executor(None, gateway.spool.flush)
    return _respond(proto, msgspec.json.encode(counts))


async def gather(gateway: Gateway) -> Samples:
    """Return everything that this worker has counted."""
    samples = Samples(gateway.worker)
    counters = gateway.counters
    for (route, status), count in sorted(counters.answers.items()):
        samples.add("mainspring_answers_total", count, route, str(status))
    for code, count in sorted(counters.problems.items()):
        samples.add("mainspring_problems_total", count, code)
    for model in gateway.follower.models():
        took = counters.took[model.route.model]
        samples.add("mainspring_predict_seconds", took, model.route.project_name, model.route.name)
        _add_versions(samples, model)
    spool = gateway.spool if gateway.spooling else None
    shadows = gateway.shadows
    loop = asyncio.get_running_loop()
    for name, value in (
        ("in_flight", gateway.in_flight),
        ("permits", gateway.limits.requests),
        ("bodies_bytes", gateway.bodies.bytes),
        ("queue", gateway.turns.waiting),
        ("queue_seconds", round(gateway.turns.wait_s, 6)),
        ("spool_waiting_bytes", spool.waiting_bytes if spool else 0),
        ("spool_failing_seconds", round(spool.failing_s, 3) if spool else 0),
        ("spool_bytes", await loop.run_in_executor(None, _bytes_in, gateway.home.spool)),
        ("generation", gateway.follower.generation),
        ("ready", int(await gateway.not_ready() is None)),
        ("swaps_total", counters.swaps),
        ("swap_failures_total", counters.swap_failures),
        ("shadow_rows_total", shadows.done),
        ("shadow_rows_dropped_total", shadows.dropped),
        ("shadow_rows_waiting", shadows.waiting),
        ("challengers_disabled", len(gateway.tripwires.disabled)),
    ):
        samples.add(f"mainspring_{name}", value)
    memory = _resident_bytes()
    if memory is not None:
        samples.add("process_resident_memory_bytes", memory)
    samples.add("process_cpu_seconds_total", round(time.process_time(), 3))
    samples.add("process_start_time_seconds", round(_STARTED_S, 3))
    return samples


def _add_versions(samples: Samples, model: Model) -> None:
    named = model.route.project_name, model.route.name
    for arm in model.arms.values():
        version, engine = str(arm.number), arm.engine
        for role, meter in engine.meters.items():
            samples.add("mainspring_model_seconds", meter.took, *named, version, role)
            for status, rows in meter.faults.items():
                samples.add("mainspring_faults_total", rows, *named, version, role, status)
        if isinstance(engine, Remote):
            samples.add("mainspring_model_requests", engine.process.under_way, *named, version)
            samples.add("mainspring_model_connected", int(engine.process.connected), *named, version)


class Shared:
    """``run/<worker>.metrics``: what workers of one port tell each other, since a scrape reaches only one of them."""

    def __init__(self, run: Path, worker: str) -> None:
        self._run = run
        self._worker = worker

    def write(self, samples: Samples) -> None:
        """Leave this worker's numbers for the others."""
        staged = self._run / f".{self._worker}.metrics"
        staged.write_bytes(samples.encoded())
        staged.rename(self._run / f"{self._worker}.metrics")

    def withdraw(self) -> None:
        """Take them away: this worker ends."""
        (self._run / f"{self._worker}.metrics").unlink(missing_ok=True)

    def others(self) -> list[Samples]:
        """Return what the other workers have left."""
        found = []
        for path in sorted(self._run.glob("gateway-*.metrics")):
            if path.stem == self._worker:
                continue
            with suppress(OSError, msgspec.DecodeError):  # it has just ended
                found.append(Samples.decoded(path.read_bytes()))
        return found


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.glob("*/*.seg"):
        with suppress(OSError):  # control has just taken it
            total += path.stat().st_size
    return total


def _resident_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None  # not on Linux
    return pages * os.sysconf("SC_PAGE_SIZE")


def _respond(proto: Any, body: bytes, status: int = 200) -> int:
    proto.response_bytes(status, [JSON], body)
    return status
