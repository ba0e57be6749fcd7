"""Who waits until what was taken is kept: tasks of an event loop, and threads that flush."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from mainspring.kernel.errors import MainspringError, Unavailable


class Waiters:
    """Waits for counts of sets; ``kept`` tells how many are. One failure is everybody's who waits then."""

    def __init__(self, kept: Callable[[], int]) -> None:
        self._kept = kept
        self._progress = threading.Condition()
        self._tasks: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.failure: MainspringError | None = None

    async def until(self, goal: int) -> None:
        """Wait until ``goal`` sets are kept; raises what keeps them from it."""
        loop = asyncio.get_running_loop()
        with self._progress:
            if self._kept() >= goal:
                return
            if self.failure is not None:
                raise self.failure
            future: asyncio.Future[None] = loop.create_future()
            self._tasks.append((goal, loop, future))
        await future

    def block(self, goal: int, timeout_s: float, late: Unavailable) -> None:
        """Do the same in a thread; raises ``late`` once the time is over."""
        with self._progress:
            if not self._progress.wait_for(lambda: self._kept() >= goal or self.failure is not None, timeout_s):
                raise late
            if self._kept() < goal and self.failure is not None:
                raise self.failure

    def tell(self, failure: MainspringError | None) -> None:
        """Tell those whose sets are kept, and with a failure all others, too."""
        with self._progress:
            self.failure = failure
            done = [task for task in self._tasks if failure is not None or task[0] <= self._kept()]
            self._tasks = [task for task in self._tasks if task not in done]
            self._progress.notify_all()
        for goal, loop, future in done:
            outcome = failure if goal > self._kept() else None
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, outcome)


def _settle(future: asyncio.Future[None], failure: MainspringError | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
