"""Scores batches inside a model process and says for each row what became of it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Task
from mainspring.serving.ports import Row, Runtime

LATE = "late"
INVALID = "invalid"
UNFIT = "failed: model: "  # what our own runtimes say of an answer of a wrong form begins so


class Guarded(Protocol):
    """Who is told that a model begins and comes back. Satisfied by ``Watchdog``."""

    def begin(self) -> None:
        """Note that the model was called."""
        ...

    def end(self) -> None:
        """Note that it came back."""
        ...


class Scores(msgspec.Struct):
    """What became of some rows: a value each, or a fault by its place; and what each row took in microseconds."""

    values: list[float | None]
    faults: dict[int, str]
    latencies_us: list[int]


class Scorer:
    """Scores rows together; when a batch raises or is slow, one by one, so that only the rows at fault are blamed."""

    def __init__(self, runtime: Runtime, watchdog: Guarded, slow_us: int, task: Task = "regression") -> None:
        self._runtime = runtime
        self._watchdog = watchdog
        self.slow_us = slow_us
        self._least, self._greatest = (
            (0.0, 1.0) if task in ("binary", "multiclass") else (-sys.float_info.max, sys.float_info.max)
        )

    def score(self, rows: Sequence[Row], until_s: float = math.inf) -> Scores:
        """Score rows together, or one by one where that goes wrong; a row not begun by ``until_s`` is late."""
        began_ns = time.perf_counter_ns()
        values, fault = self._attempt(rows)
        spent_us = (time.perf_counter_ns() - began_ns) // 1_000
        if len(rows) == 1:
            return self._one(values, fault, spent_us)
        if fault is not None or spent_us > self.slow_us:
            return self._one_by_one(rows, until_s)
        faults = {row: INVALID for row, value in enumerate(values) if not self._valid(value)}
        return Scores(
            [None if row in faults else value for row, value in enumerate(values)] if faults else list(values),
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
            fault = LATE if spent_us > self.slow_us else None if self._valid(values[0]) else INVALID
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
