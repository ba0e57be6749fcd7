"""Asks that wait for a model: which make the next batch, and whether it is worth waiting for more."""

from __future__ import annotations

import math
from collections import deque
from typing import Generic, TypeVar

import msgspec

from mainspring.adapters.runtimes.frames import Ask
from mainspring.registry.model import Batching

MOST_WAITING_ROWS = 20_000

From = TypeVar("From")


class Waiter(msgspec.Struct, Generic[From]):
    """One ask with who asked, when it came and until when it may begin."""

    ask: Ask
    line: From
    since_s: float
    until_s: float


class Waiting(Generic[From]):
    """Asks in the order of arrival, callers before shadows. All times are handed in: nothing here sleeps.

    >>> waiting = Waiting[str](Batching(max_rows=2))
    >>> waiting.put(Ask(1, ((1.0,),), 1_000_000), "a gateway", now_s=0.0), waiting.wait_s(now_s=0.0)
    (True, 0.0)
    >>> [waiter.ask.number for waiter in waiting.take()]
    [1]
    """

    def __init__(self, batching: Batching) -> None:
        self.batching = batching
        self._callers: deque[Waiter[From]] = deque()
        self._shadows: deque[Waiter[From]] = deque()
        self._rows = 0
        self._last_rows = 0
        self._ended_s = float("-inf")
        self._fitting = math.inf

    def put(self, ask: Ask, line: From, now_s: float) -> bool:
        """Take an ask, or refuse it where too many rows wait."""
        if self._rows + len(ask.rows) > MOST_WAITING_ROWS:
            return False
        self._rows += len(ask.rows)
        queue = self._shadows if ask.shadow else self._callers
        queue.append(Waiter(ask, line, now_s, ask.until_us / 1e6))
        return True

    def wait_s(self, now_s: float) -> float | None:
        """Return how long to wait for more before the next batch begins; None where nothing waits."""
        queue = self._callers or self._shadows
        if not queue:
            return None
        most_s = self.batching.max_wait_ms / 1e3
        if now_s - self._ended_s >= most_s:  # it was idle: nobody else is to be expected
            return 0.0
        if self._rows >= min(self._last_rows, self.batching.max_rows):
            return 0.0
        return max(0.0, min(queue[0].since_s + most_s, queue[0].until_s) - now_s)

    def take(self) -> list[Waiter[From]]:
        """Return the asks that make one batch: as many as come to ``max_rows`` rows, but always one.

        Where batches have taken long, a batch holds fewer: rows that wait do not make each other late.
        """
        most = min(self.batching.max_rows, self._fitting)
        queue = self._callers or self._shadows
        batch = [queue.popleft()]
        count = len(batch[0].ask.rows)
        while queue and count + len(queue[0].ask.rows) <= most:
            batch.append(queue.popleft())
            count += len(batch[-1].ask.rows)
        self._rows -= count
        return batch

    def ended(self, rows: int, now_s: float, *, spent_s: float = 0.0, most_s: float = math.inf) -> None:
        """Note that a batch of so many rows was answered, and took ``spent_s`` of the ``most_s`` that it should."""
        if spent_s > most_s:
            self._fitting = max(1, int(rows * most_s / spent_s))
        elif rows >= self._fitting:
            self._fitting *= 2
        self._last_rows = rows
        self._ended_s = now_s
