"""Requests that came in one turn of the event loop are scored together: a graph takes ten rows in the time of three.

Nobody waits for that. What came in this turn is scored at its end, and would have waited for the others of the turn
anyway; over few connections, each request is scored at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.edges.gateway.predict import Call
    from mainspring.edges.gateway.snapshot import Arm

FEW = 3  # connections over which it is rare that two requests come in one turn
MOST = 32  # rows of one run: what a turn may be lengthened by

Score = Callable[["Arm", Sequence["Call"]], None]


class Together:
    """What came in this turn, by the version that answers it."""

    __slots__ = ("_came", "_score", "_worked")

    def __init__(self, score: Score, worked: Callable[[int], None]) -> None:
        self._score = score
        self._worked = worked
        self._came: dict[Arm, list[Call]] = {}

    def add(self, arm: Arm, call: Call) -> None:
        """Take a request of one row, to be scored at the end of this turn of the loop."""
        came = self._came
        if not came:
            asyncio.get_running_loop().call_soon(self._run)
        found = came.get(arm)
        if found is None:
            came[arm] = [call]
        else:
            found.append(call)

    def _run(self) -> None:
        began_ns = time.perf_counter_ns()
        came, self._came = self._came, {}
        for arm, calls in came.items():
            for first in range(0, len(calls), MOST):
                self._score(arm, calls[first : first + MOST])
        self._worked(time.perf_counter_ns() - began_ns)
