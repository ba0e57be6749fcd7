"""One version in a process of its own: ``python -m mainspring.edges.model_process LAUNCH.json``.

The only place besides training that runs user code. Rows that wait are scored together, callers before shadows; when a
batch raises or is slow, its rows are scored one by one, so that only the rows at fault are blamed.
"""

from __future__ import annotations

import asyncio
import math
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
from mainspring.adapters.runtimes.supervisor import broken_file
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Task
from mainspring.serving.ports import Row, Runtime

BATCH_ROWS = 256
REFUSED_TO_LOAD = 3
STUCK = 70
LATE = "late"
INVALID = "invalid"
_decode = msgspec.msgpack.Decoder(Ask).decode


class Scores(msgspec.Struct):
    """What became of some rows: a value each, or a fault by its place; and what each row took in microseconds."""

    values: list[float | None]
    faults: dict[int, str]
    latencies_us: list[int]


class Watchdog:
    """Ends a process whose model does not come back, or whose supervisor is gone; the supervisor starts it anew."""

    def __init__(self, stuck_s: float, parent: int) -> None:
        self._stuck_s = stuck_s
        self._parent = parent
        self._since: float | None = None

    def watch(self) -> None:
        """Watch from a thread, until the process ends."""
        threading.Thread(target=self._look, daemon=True).start()

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self) -> None:
        self._since = None

    def _look(self) -> None:
        while True:
            time.sleep(0.5)
            since = self._since
            if since is not None and time.monotonic() - since > self._stuck_s:
                print(f"the model did not come back within {self._stuck_s:g} s", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(STUCK)
            if os.getppid() != self._parent:
                os._exit(0)


class Scorer:
    """Scores batches and says for each row what became of it."""

    def __init__(self, runtime: Runtime, watchdog: Watchdog, slow_us: int, task: Task = "regression") -> None:
        self._runtime = runtime
        self._watchdog = watchdog
        self._slow_us = slow_us
        self._least, self._greatest = (0.0, 1.0) if task == "binary" else (-sys.float_info.max, sys.float_info.max)

    def score(self, rows: Sequence[Row], until_s: float = math.inf) -> Scores:
        """Score rows together, or one by one where that goes wrong; a row not begun by ``until_s`` is late."""
        began_ns = time.perf_counter_ns()
        values, fault = self._attempt(rows)
        spent_us = (time.perf_counter_ns() - began_ns) // 1_000
        if len(rows) == 1:
            return self._one(values, fault, spent_us)
        if fault is not None or spent_us > self._slow_us:
            return self._one_by_one(rows, until_s)
        faults = {row: INVALID for row, value in enumerate(values) if not self._valid(value)}
        return Scores(
            [None if row in faults else value for row, value in enumerate(values)],
            faults,
            [spent_us // len(rows)] * len(rows),
        )

    def _attempt(self, rows: Sequence[Row]) -> tuple[list[float], str | None]:
        self._watchdog.begin()
        try:
            return self._runtime.run(rows), None
        except MainspringError as error:
            return [], f"failed: {error}"
        except BaseException as error:  # user code may raise SystemExit; it must not end the process
            return [], f"failed: {type(error).__name__}: {error}"[:200]
        finally:
            self._watchdog.end()

    def _one(self, values: Sequence[float], fault: str | None, spent_us: int) -> Scores:
        if fault is None:
            fault = LATE if spent_us > self._slow_us else None if self._valid(values[0]) else INVALID
        return Scores([values[0]], {}, [spent_us]) if fault is None else Scores([None], {0: fault}, [spent_us])

    def _one_by_one(self, rows: Sequence[Row], until_s: float) -> Scores:
        found = Scores([], {}, [])
        for number, row in enumerate(rows):
            one = self.score((row,)) if time.monotonic() < until_s else Scores([None], {0: LATE}, [0])
            found.values += one.values
            found.latencies_us += one.latencies_us
            if one.faults:
                found.faults[number] = one.faults[0]
        return found

    def _valid(self, value: float) -> bool:
        return self._least <= value <= self._greatest  # false for NaN


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


def _work(scorer: Scorer, waiting: Waiting, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        batch = waiting.take()
        now_s = time.monotonic()
        for ask, line, until_s in batch:
            if until_s <= now_s:
                loop.call_soon_threadsafe(line.send, _none_begun(ask))
        batch = [item for item in batch if item[2] > now_s]
        if not batch:
            continue
        reached("model_process.before_run")
        until_s = max(until_s for _, _, until_s in batch)
        found = scorer.score([row for ask, _, _ in batch for row in ask.rows], until_s)
        start = 0
        for ask, line, _ in batch:
            end = start + len(ask.rows)
            faults = {row - start: fault for row, fault in found.faults.items() if start <= row < end}
            values, latencies_us = tuple(found.values[start:end]), tuple(found.latencies_us[start:end])
            loop.call_soon_threadsafe(line.send, Answer(ask.number, values, faults, latencies_us))
            start = end


def _none_begun(ask: Ask) -> Answer:
    count = len(ask.rows)
    return Answer(ask.number, (None,) * count, dict.fromkeys(range(count), LATE), (0,) * count)


async def _serve(launch: Launch, scorer: Scorer) -> None:
    loop = asyncio.get_running_loop()
    waiting = Waiting()
    path = Path(launch.socket)
    with suppress(FileNotFoundError):
        path.unlink()
    server = await loop.create_unix_server(lambda: Line(waiting), str(path))
    path.chmod(0o600)
    broken_file(Path(launch.folder).parent, launch.version.id).unlink(missing_ok=True)
    threading.Thread(target=_work, args=(scorer, waiting, loop), daemon=True).start()
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
    watchdog = Watchdog(launch.stuck_s, launch.parent)
    watchdog.watch()
    asyncio.run(_serve(launch, Scorer(runtime, watchdog, launch.slow_us, launch.version.signature.task)))


if __name__ == "__main__":
    main()
