"""The spool of a worker. Under another policy another one is opened, and the old one ends; neither holds up the loop.

A broker that is away takes seconds to say so, and a spool that ends tries for as long to write what it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.ids import PredictionIds
from mainspring.log.ports import Spool
from mainspring.log.spool import Acknowledgement

Open = Callable[[str, Acknowledgement], Spool]


class Spools:
    """Holds the spool that takes records now and those that are about to end.

    A request keeps the spool that it began with, so an old one takes records for a while. ``lost`` hears why one could
    not end well.
    """

    def __init__(self, open_spool: Open, lost: Callable[[str], None]) -> None:
        self.newest: Spool | None = None
        self.ids = PredictionIds("")
        self._open = open_spool
        self._lost = lost
        self._ending: dict[Spool, asyncio.TimerHandle] = {}
        self._threads = ThreadPoolExecutor(thread_name_prefix="spools")

    async def renew(self, acknowledgement: Acknowledgement, grace_s: float) -> None:
        """Open a spool under a policy; the one before ends once the grace is over."""
        ids = PredictionIds()
        opening = asyncio.get_running_loop().run_in_executor(self._threads, self._open, ids.boot, acknowledgement)
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:  # a newer routing came: nobody will use what is being opened
            opening.add_done_callback(self._let_go)
            raise
        before, self.newest, self.ids = self.newest, opened, ids
        if before is not None:
            loop = asyncio.get_running_loop()
            self._ending[before] = loop.call_later(grace_s, self._end, before)

    async def close(self) -> None:
        """End all of them, side by side; raises what keeps the newest from writing what it holds."""
        for old, timer in list(self._ending.items()):
            timer.cancel()
            self._end(old)
        try:
            if self.newest is not None:
                await asyncio.get_running_loop().run_in_executor(self._threads, self.newest.close)
        finally:
            self._threads.shutdown(wait=True)

    def _let_go(self, opening: asyncio.Future[Spool]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._end(opening.result())

    def _end(self, spool: Spool) -> None:
        self._ending.pop(spool, None)
        self._threads.submit(self._close, spool)

    def _close(self, spool: Spool) -> None:
        try:
            spool.close()
        except MainspringError as error:
            self._lost(error.sentence())
