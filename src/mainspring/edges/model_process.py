"""One version in a process of its own: ``python -m mainspring.edges.model_process LAUNCH.json``.

The only place besides training that runs user code. Rows that wait are scored together, callers before shadows; when a
batch raises or is slow, its rows are scored one by one, so that only the rows at fault are blamed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.frames import Answer, Ask, Launch, Unframer, framed
from mainspring.adapters.runtimes.package import load
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Task
from mainspring.serving.ports import Row, Runtime

BATCH_ROWS = 256
REFUSED_TO_LOAD = 3
STUCK = 70
_decode = msgspec.msgpack.Decoder(Ask).decode


class Scorer:
    """Scores batches and says for each row what became of it."""

    def __init__(self, runtime: Runtime, slow_us: int, task: Task = "regression") -> None:
        self._runtime = runtime
        self._slow_us = slow_us
        self._least, self._greatest = (0.0, 1.0) if task == "binary" else (-sys.float_info.max, sys.float_info.max)

    def score(self, rows: Sequence[Row]) -> tuple[list[float | None], dict[int, str], int]:
        """Return values, faults by row, and one row's share of the time in microseconds."""
        began = time.perf_counter_ns()
        values, fault = self._attempt(rows)
        spent_us = (time.perf_counter_ns() - began) // 1_000
        if fault is None and (len(rows) == 1 or spent_us <= self._slow_us):
            return self._checked(values, spent_us // len(rows))
        if len(rows) == 1:
            return [None], {0: fault or "late"}, spent_us
        return self._one_by_one(rows)

    def _attempt(self, rows: Sequence[Row]) -> tuple[list[float], str | None]:
        try:
            return self._runtime.run(rows), None
        except MainspringError as error:
            return [], f"failed: {error}"
        except BaseException as error:  # user code may raise SystemExit; it must not end the process
            return [], f"failed: {type(error).__name__}: {error}"[:200]

    def _checked(self, values: Sequence[float], latency_us: int) -> tuple[list[float | None], dict[int, str], int]:
        least, greatest = self._least, self._greatest  # a comparison with NaN is false
        faults = {row: "invalid" for row, value in enumerate(values) if not least <= value <= greatest}
        if latency_us > self._slow_us and len(values) == 1 and not faults:
            faults = {0: "late"}
        return [None if row in faults else value for row, value in enumerate(values)], faults, latency_us

    def _one_by_one(self, rows: Sequence[Row]) -> tuple[list[float | None], dict[int, str], int]:
        values: list[float | None] = []
        faults: dict[int, str] = {}
        longest_us = 0
        for number, row in enumerate(rows):
            one, fault, spent_us = self.score((row,))
            values += one
            if fault:
                faults[number] = fault[0]
            longest_us = max(longest_us, spent_us)
        return values, faults, longest_us


class Waiting:
    """Asks in the order of arrival, callers before shadows; one thread takes them in batches."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._queues: tuple[deque[tuple[Ask, Line, float]], deque[tuple[Ask, Line, float]]] = (deque(), deque())

    def put(self, ask: Ask, line: Line) -> None:
        with self._turn:
            self._queues[ask.shadow].append((ask, line, time.monotonic() + ask.budget_us / 1e6))
            self._turn.notify()

    def take(self) -> list[tuple[Ask, Line, float]]:
        """Wait for asks and return those that make one batch."""
        with self._turn:
            while not (self._queues[0] or self._queues[1]):
                self._turn.wait()
            queue = self._queues[0] or self._queues[1]
            batch = [queue.popleft()]
            count = len(batch[0][0].rows)
            while queue and count + len(queue[0][0].rows) <= BATCH_ROWS:
                batch.append(queue.popleft())
                count += len(batch[-1][0].rows)
            return batch


class Line(asyncio.Protocol):
    """One gateway that is connected."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._frames = Unframer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self._waiting.put(_decode(message), self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def send(self, answer: Answer) -> None:
        if self._transport is not None:
            self._transport.write(framed(answer))


class Watchdog:
    """Ends a process whose model does not come back; the supervisor starts it anew."""

    def __init__(self, stuck_s: float, parent: int) -> None:
        self._stuck_s = stuck_s
        self._parent = parent
        self._since: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self) -> None:
        self._since = None

    def _watch(self) -> None:
        while True:
            time.sleep(0.5)
            since = self._since
            if since is not None and time.monotonic() - since > self._stuck_s:
                print(f"the model did not come back within {self._stuck_s:g} s", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(STUCK)
            if os.getppid() != self._parent:
                os._exit(0)


def _work(scorer: Scorer, waiting: Waiting, watchdog: Watchdog, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        batch = waiting.take()
        now = time.monotonic()
        for ask, line, until in batch:
            if until <= now:
                late = dict.fromkeys(range(len(ask.rows)), "late")
                loop.call_soon_threadsafe(line.send, Answer(ask.number, (None,) * len(ask.rows), late, 0))
        batch = [item for item in batch if item[2] > now]
        if not batch:
            continue
        reached("model_process.before_run")
        watchdog.begin()
        values, faults, latency_us = scorer.score([row for ask, _, _ in batch for row in ask.rows])
        watchdog.end()
        start = 0
        for ask, line, _ in batch:
            end = start + len(ask.rows)
            own = {row - start: fault for row, fault in faults.items() if start <= row < end}
            loop.call_soon_threadsafe(line.send, Answer(ask.number, tuple(values[start:end]), own, latency_us))
            start = end


async def _serve(launch: Launch, scorer: Scorer) -> None:
    loop = asyncio.get_running_loop()
    waiting = Waiting()
    path = Path(launch.socket)
    with suppress(FileNotFoundError):
        path.unlink()
    server = await loop.create_unix_server(lambda: Line(waiting), str(path))
    path.chmod(0o600)
    watchdog = Watchdog(launch.stuck_s, launch.parent)
    threading.Thread(target=_work, args=(scorer, waiting, watchdog, loop), daemon=True).start()
    await server.serve_forever()


def main() -> None:
    """Load the version that the launch file names and answer until the parent is gone."""
    launch = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Launch)
    blobs = FileBlobs(Path(launch.blobs), LocalDisk())
    try:
        runtime = load(launch.version, blobs.get, Path(launch.folder))
    except MainspringError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(REFUSED_TO_LOAD)
    asyncio.run(_serve(launch, Scorer(runtime, launch.slow_us, launch.version.signature.task)))


if __name__ == "__main__":
    main()
