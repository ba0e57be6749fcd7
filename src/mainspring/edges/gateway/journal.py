"""The log of a worker: one JSON object a line on the standard error, written by a thread that nobody waits for."""

from __future__ import annotations

import random
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from mainspring.edges.gateway.told import Refusal, Told, Trace

MOST_WAITING = 10_000
MOST_REFUSALS_A_S = 50
MOST_FAULTS_A_S = 5  # with their tracebacks; each is also told as a refusal
_WRITE_EVERY_S = 0.05
Level = Literal["info", "warning", "error"]


class Journal:
    """Writes events of the worker, refusals (at most 50 a second, the rest counted), and a share of the answers.

    ``write`` is where lines go. What it takes too long to take is dropped and counted, never waited for.
    """

    def __init__(self, worker: str, *, share: float = 0.0, write: Callable[[str], object] = sys.stderr.write) -> None:
        self._worker = worker
        self._share = share
        self._write = write
        self._lines: deque[tuple[float, Level, str, dict[str, Any]]] = deque()
        self._dropped = 0
        self._second, self._refusals, self._suppressed = 0, 0, 0
        self._fault_second, self._faults = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def event(self, event: str, level: Level = "info", **fields: Any) -> None:
        """Log something about the worker itself."""
        if len(self._lines) >= MOST_WAITING:
            self._dropped += 1
            return
        self._lines.append((time.time(), level, event, fields))

    def answered(self, told: Told) -> None:
        """Log an answer, if it is drawn: ``share`` of them are."""
        if self._share < 1.0 and random.random() >= self._share:
            return
        fields = msgspec.structs.asdict(told)
        self.event("answered", **fields | _traced(told.trace))

    def refused(self, refusal: Refusal) -> None:
        """Log a refusal or failure."""
        self._begin_second()
        self._refusals += 1
        if self._refusals > MOST_REFUSALS_A_S:
            self._suppressed += 1
            return
        level: Level = "error" if refusal.status >= 500 else "warning"
        self.event("refused", level, **msgspec.structs.asdict(refusal) | _traced(refusal.trace))

    def pass_over(self) -> None:
        """Count a refusal that is not told."""
        self._begin_second()
        self._suppressed += 1

    def _begin_second(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            if self._suppressed:
                self.event("suppressed", "warning", refusals=self._suppressed)
            self._second, self._refusals, self._suppressed = second, 0, 0

    def failed(self, error: BaseException) -> None:
        """Log a fault of ours with its traceback; callers are told no more than that it happened."""
        second = int(time.monotonic())
        if second != self._fault_second:
            self._fault_second, self._faults = second, 0
        self._faults += 1
        if self._faults <= MOST_FAULTS_A_S:
            self.event("fault", "error", traceback="".join(traceback.format_exception(error, limit=-20))[-8_000:])

    def close(self, timeout_s: float) -> None:
        """Write what is left."""
        self._over.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._over.wait(_WRITE_EVERY_S):
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines = []
        while self._lines:
            lines.append(self._line(*self._lines.popleft()))
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines.append(self._line(time.time(), "warning", "dropped", {"lines": dropped}))
        if lines:
            with suppress(OSError):  # nobody reads any more: the supervisor is gone, and this worker ends with it
                self._write("".join(lines))

    def _line(self, at_s: float, level: Level, event: str, fields: dict[str, Any]) -> str:
        at = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
        said = {name: value for name, value in fields.items() if value not in (None, (), "")}
        body = {"at": at, "level": level, "event": event, "worker": self._worker, **said}
        return msgspec.json.encode(body).decode() + "\n"


def _traced(trace: Trace | None) -> dict[str, Any]:
    if trace is None:
        return {}
    return {"trace": None, "trace_id": trace.trace_id, "parent_id": trace.parent_id}
