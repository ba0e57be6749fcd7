"""The queue for the worker itself: so much work goes into one turn of the event loop, and the rest waits its turn.

Graphs run on the loop. Were all that is asked let in at once, one turn would last as long as all of it, and even a
refusal would come that late. So a turn is filled for a few milliseconds; what comes after waits in order; and a request
that cannot be done in time is refused when it comes, not when it is late.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

TURN_NS = 3_000_000
EASY = 8  # over so few connections nobody needs to wait


class Turns:
    """Lets requests in, a turn of the loop after another.

    ``waiting`` of them wait; ``cost_ns`` is what one of them has lately taken of the loop.
    """

    __slots__ = (
        "_began_ns", "_done", "_let_in", "_most", "_patience_ns", "_queue", "_spent_ns", "_turning", "cost_ns"
    )  # fmt: skip

    def __init__(self, most_waiting: int, patience_s: float) -> None:
        self._most = most_waiting
        self._patience_ns = patience_s * 1e9
        self._queue: deque[Callable[[], bool]] = deque()
        self._began_ns = 0
        self._let_in = 0  # at once, in this turn
        self._done = 0  # of the queue, in this turn
        self._spent_ns = 0
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

    def be_patient(self, patience_s: float) -> None:
        """Let nobody wait for longer than this from now on."""
        self._patience_ns = patience_s * 1e9

    @property
    def wait_s(self) -> float:
        """Return what the next one may expect to wait."""
        return len(self._queue) * self.cost_ns / 1e9

    def begins(self) -> bool:
        """Tell whether work may begin now; what may not is to be queued."""
        now_ns = time.perf_counter_ns()
        if not self._turning:
            self._turning = True
            self._began_ns = now_ns
            asyncio.get_running_loop().call_soon(self._turn)
        if not self._queue and now_ns - self._began_ns < TURN_NS:
            self._let_in += 1
            return True
        return False

    def queue(self, begin: Callable[[], bool]) -> None:
        """Take work that is begun in its turn, by calling this; it returns whether there was any.

        Where that were not told, those that came too late would teach that the others are done in no time.
        """
        self._queue.append(begin)

    def worked(self, spent_ns: int) -> None:
        """Count what the work of this turn took of the loop after it was begun."""
        self._spent_ns += spent_ns

    def _turn(self) -> None:
        """Begin a turn: learn from the last one, and do what fits into this one."""
        began_ns = time.perf_counter_ns()
        if self._let_in:
            self._learn((began_ns - self._began_ns) / self._let_in)
        elif self._done:
            self._learn(self._spent_ns / self._done)
        elif not self._queue:
            self._turning = False
            return
        fitting = max(1, int(TURN_NS / self.cost_ns))
        self._began_ns, self._let_in, self._done, self._spent_ns = began_ns, 0, 0, 0
        try:
            while self._queue and self._done < fitting:
                if self._queue.popleft()():
                    self._done += 1
                if time.perf_counter_ns() - began_ns > TURN_NS:
                    break
        finally:  # whatever comes of this one: nobody else wakes the queue
            self._spent_ns += time.perf_counter_ns() - began_ns
            asyncio.get_running_loop().call_soon(self._turn)

    def _learn(self, cost_ns: float) -> None:
        """Come a fifth nearer to what one cost now; one that was held up by something else is not taken at its word."""
        self.cost_ns += 0.2 * (min(cost_ns, 4.0 * self.cost_ns) - self.cost_ns)
