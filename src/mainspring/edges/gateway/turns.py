"""The queue for the worker itself: so much work goes into one turn of the event loop, and the rest waits its turn.

Graphs run on the loop. Were all that is asked let in at once, one turn would last as long as all of it, and even a
refusal would come that late. So a turn is filled for a few milliseconds; what comes after waits in order; and a request
that cannot be done in time is refused when it comes, not when it is late.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

TURN_NS = 7_000_000
EASY = 8  # with so few requests at work nobody needs to wait


class Turns:
    """Lets requests in, a turn of the loop after another.

    ``waiting`` of them wait; ``cost_ns`` is what one of them has lately taken of the loop.
    """

    __slots__ = ("_began_ns", "_let_in", "_most", "_patience_ns", "_queue", "_turning", "cost_ns")

    def __init__(self, most_waiting: int, patience_s: float) -> None:
        self._most = most_waiting
        self._patience_ns = patience_s * 1e9
        self._queue: deque[asyncio.Future[None]] = deque()
        self._began_ns = 0
        self._let_in = 0
        self._turning = False
        self.cost_ns = 200_000.0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Tell whether one more could not be done in time."""
        waiting = len(self._queue)
        return waiting >= self._most or waiting * self.cost_ns > self._patience_ns

    @property
    def wait_s(self) -> float:
        """Return what the next one may expect to wait."""
        return len(self._queue) * self.cost_ns / 1e9

    def take(self) -> asyncio.Future[None] | None:
        """Return None if work may begin now, or what to wait for."""
        now_ns = time.perf_counter_ns()
        if not self._turning:
            self._turning = True
            self._began_ns = now_ns
            asyncio.get_running_loop().call_soon(self._turn)
        if not self._queue and now_ns - self._began_ns < TURN_NS:
            self._let_in += 1
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        return future

    def _turn(self) -> None:
        """Begin a turn: learn from the last one, and let in what fits into this one."""
        now_ns = time.perf_counter_ns()
        if self._let_in:
            self.cost_ns += 0.2 * ((now_ns - self._began_ns) / self._let_in - self.cost_ns)
        elif not self._queue:
            self._turning = False
            return
        self._began_ns, self._let_in = now_ns, 0
        fitting = max(1, int(TURN_NS / max(self.cost_ns, 1.0)))
        while self._queue and fitting:
            future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
                self._let_in += 1
                fitting -= 1
        asyncio.get_running_loop().call_soon(self._turn)
