"""Shadows: versions that score rows after the answer, in batches, from a bounded queue that never delays a caller."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from mainspring.adapters.runtimes.frames import Answer
from mainspring.edges.gateway.engines import Local
from mainspring.edges.gateway.running import AWAY, INVALID, LATE, spool_scored
from mainspring.edges.gateway.snapshot import Arm
from mainspring.edges.gateway.work import Asked, Part, Ran
from mainspring.kernel.errors import Unavailable
from mainspring.log.ports import Spool
from mainspring.serving.draw import draw
from mainspring.serving.ports import Row, Runtime

BATCH_ROWS = 256
BATCH_S = 0.02
PROCESS_BACK_S = 10.0
_BUDGET_S = 120.0  # rows of a batch that have not begun by then are late
_PATIENCE_S = 150.0

Job = tuple[Asked, Arm, str, list[int]]


class Shadows:
    """One queue and one batcher a version. Rows: ``queued`` in all, ``done``, ``dropped`` because a queue was full."""

    def __init__(self, spool: Callable[[], Spool], most_rows: int) -> None:
        self._spool = spool
        self._most_rows = most_rows
        self._queues: dict[str, deque[Job]] = {}
        self._batchers: dict[str, asyncio.Task[None]] = {}
        self.queued = self.done = self.dropped = 0

    @property
    def waiting(self) -> int:
        return self.queued - self.done

    def offer(self, asked: Asked, met: Mapping[str, Sequence[int]]) -> None:
        """Queue the rows of a request for every shadow that has not met them already."""
        for version, (arm, release, sample) in asked.model.shadows.items():
            own = set(met.get(version, ()))
            places = [place for place in range(len(asked.rows)) if place not in own]
            if sample < 1.0:
                places = [place for place in places if draw(asked.id, str(place)) < sample]
            if not places:
                continue
            if self.waiting + len(places) > self._most_rows:
                self.dropped += len(places)
                continue
            self.queued += len(places)
            self._queues.setdefault(version, deque()).append((asked, arm, release, places))
            batcher = self._batchers.get(version)
            if batcher is None or batcher.done():
                self._batchers[version] = asyncio.get_running_loop().create_task(self._drain(version))

    async def finish(self, timeout_s: float) -> None:
        """Wait until the queues are empty."""
        running = [batcher for batcher in self._batchers.values() if not batcher.done()]
        if running:
            await asyncio.wait(running, timeout=timeout_s)

    async def _drain(self, version: str) -> None:
        queue = self._queues[version]
        while queue:
            if sum(len(job[3]) for job in queue) < BATCH_ROWS:
                await asyncio.sleep(BATCH_S)
            batch, count = [queue.popleft()], 0
            count = len(batch[0][3])
            while queue and count + len(queue[0][3]) <= BATCH_ROWS:
                batch.append(queue.popleft())
                count += len(batch[-1][3])
            try:
                await self._score(batch)
            finally:
                self.done += count

    async def _score(self, batch: Sequence[Job]) -> None:
        arm = batch[-1][1]
        rows = [own.row(asked.rows[p], asked.looked[p]) for asked, own, _, places in batch for p in places]
        found = await _run(arm, rows)
        start = 0
        for asked, own, release, places in batch:
            end = start + len(places)
            faults = {at - start: fault for at, fault in found.faults.items() if start <= at < end}
            ran = Ran(found.values[start:end], faults, max(found.latencies_us[start:end]))
            try:
                spool_scored(self._spool(), Part(asked, own, "shadow", places, release), ran)
            except Unavailable:  # the disk is full: callers are refused already, shadows are counted
                self.dropped += len(places)
            start = end


async def _run(arm: Arm, rows: Sequence[Row]) -> Answer:
    if isinstance(arm.engine, Local):
        return await _run_local(arm.engine.runtime, rows)
    process = arm.engine.process
    for _ in range(2):
        if not process.connected:
            await process.open(PROCESS_BACK_S)
        try:
            return await asyncio.wait_for(process.ask(rows, _BUDGET_S, shadow=True), _PATIENCE_S)
        except TimeoutError:
            return _all(LATE, len(rows))
        except Unavailable:
            continue
    return _all(AWAY, len(rows))


async def _run_local(runtime: Runtime, rows: Sequence[Row]) -> Answer:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    try:
        values = await loop.run_in_executor(None, runtime.run, rows)
    except Exception as error:  # a graph may raise anything
        return _all(f"failed: {type(error).__name__}: {error}"[:200], len(rows))
    faults = {at: INVALID for at, value in enumerate(values) if not math.isfinite(value)}
    share_us = int((loop.time() - began_s) * 1e6 / len(rows))
    return Answer(0, tuple(values), faults, (share_us,) * len(rows))


def _all(fault: str, count: int) -> Answer:
    return Answer(0, (None,) * count, dict.fromkeys(range(count), fault), (0,) * count)
