"""What a worker answers by: the newest routing that could be loaded, and how it comes to a newer one."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from mainspring.adapters.routing import RoutingFile
from mainspring.edges.gateway.hearsay import Hearsay
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.loader import Loader
from mainspring.edges.gateway.metrics import Counters
from mainspring.edges.gateway.snapshot import Model, Snapshot
from mainspring.edges.gateway.tripwires import Tripwires
from mainspring.features.ports import Latest
from mainspring.kernel.errors import MainspringError, NotFound, Unavailable
from mainspring.serving.routing import ModelRoute, Routing

LOOK_EVERY_S = 0.1
_RETRY_S = 1.0
_SETTLED_NS = 1_000_000_000


class Answering(Protocol):
    """Whoever answers by what is loaded. Satisfied by the gateway."""

    def prepare(self, routing: Routing, models: Sequence[Model]) -> Awaitable[None]:
        """Make ready for a routing that is loaded, while ``models`` are still answered by."""
        ...

    def swapped(self, routing: Routing) -> None:
        """Go on by a routing that has just been swapped in."""
        ...


class Follower:
    """Follows ``routing/current``: what is newer is loaded, swapped in by one reference, and acknowledged.

    With ``others`` it also follows what other workers of its port have taken out.
    """

    def __init__(
        self,
        file: RoutingFile,
        worker: str,
        loader: Loader,
        latest: Callable[[], Latest],
        tripwires: Tripwires,
        *,
        journal: Journal,
        counters: Counters,
        others: Hearsay | None,
    ) -> None:
        self._file = file
        self._worker = worker
        self._loader = loader
        self._open_latest = latest
        self._tripwires = tripwires
        self._journal = journal
        self._counters = counters
        self._others = others
        self._heard = 0
        self._latest: Latest | None = None
        self._snapshot: Snapshot | None = None
        self._coming: Sequence[ModelRoute] = ()  # of a routing that is being loaded
        self._trouble = ""
        self._stale_since_s = 0.0

    @property
    def generation(self) -> int:
        return self._snapshot.generation if self._snapshot else 0

    def snapshot(self) -> Snapshot:
        """Return what stands now; a request keeps it to its end."""
        if self._snapshot is None:
            raise Unavailable("no routing is loaded yet", field="gateway", remedy="try again in a second")
        return self._snapshot

    def model(self, name: str, project: str | None = None) -> Model:
        """Return the model of that name; one that a newer routing brings is said to be loading, not to be unknown."""
        snapshot = self.snapshot()
        try:
            return snapshot.model(name, project)
        except NotFound:
            if any(route.name == name and project in (None, route.project_name) for route in self._coming):
                remedy = "try again in a second"
                raise Unavailable("is loading", field="model", value=name, remedy=remedy) from None
            raise

    def invoked(self, wanted: str | None) -> tuple[str | None, str]:
        """Return project and name of the model that a route without a name means."""
        snapshot = self.snapshot()
        if wanted is None and self._coming and not snapshot.models():
            raise Unavailable("is loading", field="model", remedy="try again in a second")
        return snapshot.invoked(wanted)

    def models(self) -> list[Model]:
        """Return every model that is loaded."""
        return self._snapshot.models() if self._snapshot else []

    def not_ready(self, stale_s: float) -> str | None:
        """Return why nothing should be answered by what is loaded, or None."""
        if self._snapshot is None:
            return "no routing is loaded yet"
        if self._stale_since_s and time.monotonic() - self._stale_since_s > stale_s:
            return f"a newer routing could not be loaded: {self._trouble}"
        return None

    async def follow(self, answering: Answering) -> None:
        """Look at the routing for good; a newer one interrupts the loading of an older one."""
        seen: tuple[int, int] | None = None
        loading: asyncio.Task[None] | None = None
        retry_at_s = 0.0
        while True:
            if self._latest is not None:
                self._latest.follow()
            if self._others is not None:
                with suppress(OSError, MainspringError):  # a full disk: they hear of it later
                    self._follow_others(self._others)
            mark = self._file.mark()
            failed = loading is not None and loading.done() and loading.exception() is not None
            if mark is not None and (mark != seen or (failed and time.monotonic() >= retry_at_s)):
                if loading is not None and not loading.done():
                    loading.cancel()
                seen, retry_at_s = mark, time.monotonic() + _RETRY_S
                loading = asyncio.get_running_loop().create_task(self._load(answering))
                await asyncio.sleep(0)
            await asyncio.sleep(LOOK_EVERY_S)

    async def swap(self, routing: Routing, answering: Answering) -> None:
        """Load a routing, swap it in by one reference and acknowledge it."""
        if routing.views and self._latest is None:
            self._latest = self._open_latest()
        snapshot = await self._loader.load(routing, self._latest)
        await answering.prepare(routing, self.models())
        self._snapshot = snapshot
        self._counters.keep({model.model for model in routing.models})
        self._counters.swaps += 1
        self._journal.event("swapped", generation=routing.generation, models=len(routing.models))
        answering.swapped(routing)
        releases = [model.release for model in routing.models if model.release]
        self._tripwires.keep(releases, {version.id for version in routing.versions})
        self.acknowledge()
        _set_aside()

    def acknowledge(self) -> None:
        """Say which routing is answered by, and which versions of it were taken out here."""
        self._file.acknowledge(self._worker, self.generation, pid=os.getpid(), disabled=self._tripwires.disabled)

    def close(self) -> None:
        """Hang up on model processes, and say that this worker answers no more."""
        self._loader.close()
        self._file.withdraw(self._worker)
        if self._others is not None:
            self._others.withdraw()

    async def _load(self, answering: Answering) -> None:
        try:
            routing = self._file.read()
            if routing is None or (self._snapshot is not None and routing.generation == self.generation):
                return
            self._coming = routing.models
            await self.swap(routing, answering)
            self._coming, self._trouble, self._stale_since_s = (), "", 0.0
        except Exception as error:
            if str(error) != self._trouble:  # it is tried every second
                self._journal.event("swap_failed", "error", generation=self.generation, why=str(error))
            self._trouble, self._coming = str(error), ()  # what cannot be loaded is not on its way
            self._counters.swap_failures += 1
            self._stale_since_s = self._stale_since_s or time.monotonic()
            raise

    def _follow_others(self, others: Hearsay) -> None:
        """Hear what other workers of this port have seen and taken out, without control, which may be away."""
        others.tell(self._tripwires.tallies())
        for news in others.hear():
            self._tripwires.hear(news)
        told = self._file.told()
        if told == self._heard:
            return
        settled = time.time_ns() - told > _SETTLED_NS  # files may be replaced within one tick of their clock
        self._heard = told if settled else 0
        for other in self._file.living():
            if other.worker != self._worker and other.generation == self.generation:
                self._tripwires.follow(other.disabled)


def _set_aside() -> None:
    """Take what is loaded out of the collector's sight: else it looks through all of it, again and again, under load.

    It holds up every thread while it looks, for twenty milliseconds and more where libraries and graphs are loaded.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
