"""Work that takes too long for a turn: one at a time, in a thread of its own, and a model is busy with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class LoopJobs:
    """Runs one job after the other. Once ``stopping``, none is begun."""

    def __init__(self) -> None:
        self._under_way: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="job")
        self.stopping = False

    @property
    def busy(self) -> set[str]:
        """Return the models with a job that has not ended."""
        return {model for model, job in self._under_way.items() if not job.done()}

    def start(self, model: str, work: Callable[[], None]) -> None:
        """Run some work for a model once those before it are done."""
        self._under_way[model] = self._pool.submit(work)

    def close(self) -> None:
        """Begin no more, and wait for the one that runs."""
        self.stopping = True
        self._pool.shutdown(wait=True, cancel_futures=True)
