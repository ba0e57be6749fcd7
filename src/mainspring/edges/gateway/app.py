"""The application of one worker: one route table, one place where errors become answers."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.edges.gateway import foreign
from mainspring.edges.gateway.bodies import Bodies
from mainspring.edges.gateway.crowd import Crowd
from mainspring.edges.gateway.guard import Guard
from mainspring.edges.gateway.health import SHARE_EVERY_S, Shared, drained, gather, live, metrics, ready
from mainspring.edges.gateway.hearsay import Hearsay
from mainspring.edges.gateway.http.exchange import Exchange, Headers
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.limits import DEADLINE, JSON, Late, TooMany, problem
from mainspring.edges.gateway.metrics import Counters
from mainspring.edges.gateway.openapi import openapi
from mainspring.edges.gateway.outcomes import outcomes
from mainspring.edges.gateway.predict import WAIT_SHARE, predict, score_together
from mainspring.edges.gateway.protocols.problems import said_briefly, said_by_mlflow
from mainspring.edges.gateway.routes import Route, RouteTable
from mainspring.edges.gateway.shadow import Shadows
from mainspring.edges.gateway.snapshot import Loader, Model, Snapshot
from mainspring.edges.gateway.sources import sources
from mainspring.edges.gateway.spools import Spools
from mainspring.edges.gateway.together import Together
from mainspring.edges.gateway.told import Refusal, Told, Witness, read_trace
from mainspring.edges.gateway.tripwires import Tripwires
from mainspring.edges.gateway.turns import EASY, Turns
from mainspring.features.ports import Latest
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import MainspringError, NotFound, Unavailable
from mainspring.kernel.ids import PredictionIds
from mainspring.log.ports import Disk, Spool
from mainspring.log.spool import Acknowledgement
from mainspring.serving.limits import Limits
from mainspring.serving.routing import ModelRoute, Routing

LOOK_EVERY_S = 0.1
GONE = 499  # nobody was there to be answered
_RETRY_S = 1.0
_SETTLED_NS = 1_000_000_000
_SPOOL_ANSWERS_S = 1.0
_GRACE_S = 10.0  # beyond the longest deadline: for so long an old spool takes what belongs to its requests
_POLICY = {policy: ("x-mainspring-acknowledgement", policy) for policy in ("durable", "batched", "best_effort")}


class Gateway:
    """One worker: what it holds, and how requests find their handler."""

    def __init__(
        self,
        home: Home,
        disk: Disk,
        clock: Clock,
        worker: str,
        loader: Loader,
        latest: Callable[[], Latest],
        limits: Limits,
        *,
        new_spool: Callable[[str, Acknowledgement], Spool],
        journal: Journal,
        witnesses: Sequence[Witness] = (),
        closed: bool = False,
        workers: int = 1,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.guard = Guard(clock, closed=closed)
        self.bodies = Bodies(limits)
        self.turns = Turns(limits.queue, limits.queue_s)
        self.together = Together(partial(score_together, self), self.turns.worked)
        self._easy = min(EASY, limits.requests)
        self.counters = Counters()
        self.crowd = Crowd()
        self.shared = Shared(home.run, worker)
        self.at_work = 0  # requests: body come, work not ended
        self.connections = 0
        self._waiting: set[asyncio.Task[None]] = set()
        self.shadows = Shadows(lambda: self.spool, limits.shadow_rows)
        self.tripwires = Tripwires(self._acknowledge, workers)
        self._latest: Latest | None = None
        self.home = home
        self._disk = disk
        self.worker = worker
        self._routing = RoutingFile(home.routing, disk)
        self._loader = loader
        self._open_latest = latest
        self._snapshot: Snapshot | None = None
        self._trouble = ""
        self._stale_since_s = 0.0
        self._coming: Sequence[ModelRoute] = ()  # of a routing that is being loaded
        self.draining = False
        self.journal = journal
        self._spools = Spools(new_spool, lambda why: journal.event("spool_lost", "error", why=why))
        self.witnesses = witnesses  # of answers
        self.listeners: tuple[Witness, ...] = tuple(dict.fromkeys((journal, *witnesses)))  # of refusals
        self._workers = workers
        self._heard = 0
        self._hearsay = Hearsay(home.run, worker)
        self._watcher: asyncio.Task[None] | None = None
        self._sharer: asyncio.Task[None] | None = None

    @property
    def spool(self) -> Spool:
        if self._spools.newest is None:
            raise Unavailable("the gateway is starting", field="spool", remedy="try again in a second")
        return self._spools.newest

    @property
    def ids(self) -> PredictionIds:
        """Return what names predictions of the spool's boot."""
        return self._spools.ids

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way, those whose body has not come among them."""
        return self.at_work + self.turns.waiting + self.bodies.reading

    @property
    def spooling(self) -> bool:
        return self._spools.newest is not None

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

    async def not_ready(self) -> str | None:
        """Return why this worker should not be asked, or None. That control is away is no reason."""
        if self.draining:
            return "it is being stopped"
        if self._snapshot is None:
            return "no routing is loaded yet"
        if self._stale_since_s and time.monotonic() - self._stale_since_s > self.limits.stale_routing_s:
            return f"a newer routing could not be loaded: {self._trouble}"
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.spool.flush, _SPOOL_ANSWERS_S)
        except MainspringError as error:
            return error.sentence()
        return None

    def respond(
        self, proto: Any, spool: Spool, body: bytes, status: int = 200, headers: Sequence[tuple[str, str]] = (JSON,)
    ) -> int:
        """Send an answer to what stands in a spool, saying by which policy, and return its status."""
        proto.response_bytes(status, (*headers, _POLICY[spool.acknowledgement]), body)
        return status

    def drain(self) -> None:
        """Be no more ready, and ask callers to hang up after their answers, so that none speaks to a closed door."""
        self.draining = True
        self.journal.event("draining", in_flight=self.in_flight)

    def opened(self, exchange: Exchange) -> None:
        """Find the line of a request and refuse what is refused, before its body has come."""
        head = exchange.head
        route, _ = exchange.line = ROUTES.find(head.method, head.path)
        if self.guard.closed and route.permission != "open":
            self.guard.require(route.permission, head.headers)
        if not route.spared:
            if self.turns.full or self.at_work >= self.limits.requests:
                raise self._too_many()
            if self.connections > self.limits.connections and not exchange.served:
                raise self._too_many()
            if route.method == "POST":
                self.bodies.wanted(head)
        if head.length > 0:
            self.bodies.announced(head.length)

    def asked(self, exchange: Exchange) -> None:
        """Answer a request whose body has come; only now does it hold a permit.

        Who sends slowly, or hangs up on the way, holds none; who hangs up later frees none before the work has ended.
        """
        route, _ = exchange.line
        if route.spared or self.connections <= self._easy or self.turns.begins():
            self._work(exchange)
        elif self.at_work + self.turns.waiting >= self.limits.requests or self._comes_late(exchange):
            self.refused(exchange, self._too_many())
        else:
            self.turns.queue(partial(self._work, exchange))

    def _comes_late(self, exchange: Exchange) -> bool:
        """Tell whether a request would wait for most of the time that its caller gives it."""
        stated = exchange.head.headers.get(DEADLINE)
        if stated is None or not stated.isascii() or not stated.isdigit():
            return False
        return self.turns.wait_s > int(stated[:9]) / 1e3 * WAIT_SHARE

    def _work(self, exchange: Exchange) -> bool:
        """Begin with a request; return whether that was work, and no refusal of what comes too late."""
        route, arguments = exchange.line
        if not exchange.open:  # who asked has hung up while it waited
            self.counters.answered(route.label, GONE)
            return False
        if self.at_work >= self.limits.requests and not route.spared:
            self.refused(exchange, self._too_many())
            return False
        self.at_work += 1
        try:
            said = route.handler(self, exchange.head, exchange, *arguments)
        except Exception as error:  # here and in ``_wait`` errors become answers
            self.failed(exchange, error)
            return not isinstance(error, (Late, TooMany))
        if type(said) is int:
            self.answered(exchange, said)
        elif said is not None:
            self.wait(self._wait(exchange, said))
        return True

    async def _wait(self, exchange: Exchange, said: Awaitable[int]) -> None:
        try:
            self.answered(exchange, await said)
        except Exception as error:
            self.failed(exchange, error)

    def wait(self, rest: Coroutine[Any, Any, None]) -> None:
        """Let work go on that waits for something; nobody waits for it here."""
        waiting = asyncio.get_running_loop().create_task(rest)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    def answered(self, exchange: Exchange, status: int) -> None:
        """Count a request whose handler has answered it, and free its permit."""
        self.at_work -= 1
        self.counters.answered(exchange.line[0].label, status)

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request whose handler raised, and free its permit."""
        self.at_work -= 1
        self.refused(exchange, error)

    def refused(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request with an error, in the words of its protocol."""
        head, line = exchange.head, exchange.line
        route = None if line is None else line[0]
        said = route.problem if route else ROUTES.problem(head.path)
        known = self.crowd.said(said, error) if type(error) is TooMany else None
        if known is not None:
            exchange.response_bytes(*known)
            self.counters.refused(TooMany.code)
            self.counters.answered(route.label if route else "other", known[0])
            self.journal.pass_over()
            return
        status, headers, body = said(error)
        self._tell_refusal(route, error, status, head.headers)
        exchange.response_bytes(status, headers, body)

    def malformed(self, exchange: Exchange | None, error: Exception) -> tuple[int, Headers, bytes]:
        """Return what is said of bytes that are no request."""
        status, headers, body = problem(error)
        self._tell_refusal(None, error, status, {})
        return status, headers, body

    def reading(self, exchange: Exchange, began: bool) -> None:
        """Count who waits for a body."""
        if began:
            self.bodies.began(exchange)
        else:
            self.bodies.ended(exchange)

    def received(self, exchange: Exchange, count: int) -> None:
        """Count what came of a body in chunks."""
        self.bodies.came(exchange, count)

    def broken_off(self, exchange: Exchange) -> None:
        """Count a caller who hung up before the body had come."""
        self.counters.answered(exchange.line[0].label if exchange.line else "other", GONE)

    def connected(self, count: int) -> None:
        """Take how many connections there are."""
        self.connections = count

    def tell(self, told: Told) -> None:
        """Tell whoever listens of an answer."""
        for witness in self.witnesses:
            witness.answered(told)

    def _tell_refusal(self, route: Route | None, error: Exception, status: int, headers: Any) -> None:
        """Count a refusal or failure and tell of it; a fault of ours is told with where it happened."""
        if isinstance(error, MainspringError):
            code = str(error.as_dict()["code"])
        else:
            code = "internal"
            self.journal.failed(error)
        label = route.label if route else "other"
        self.counters.refused(code)
        self.counters.answered(label, status)
        notes = tuple(getattr(error, "__notes__", ()))
        refusal = Refusal(label, status, code, getattr(error, "field", None), notes, read_trace(headers))
        for witness in self.listeners:
            witness.refused(refusal)

    def _too_many(self) -> TooMany:
        wait_s = self.turns.wait_s
        return TooMany("too many requests at once", field="gateway", remedy="try again in a second", wait_s=wait_s)

    def start(self) -> None:
        """Follow the routing, on the loop that runs."""
        loop = asyncio.get_running_loop()
        self._watcher = loop.create_task(self._watch())
        if self._workers > 1:
            self._sharer = loop.create_task(self._share())

    async def close(self) -> None:
        """Finish what is under way, write the spool to its end, and say that this worker answers no more."""
        for task in (self._watcher, self._sharer):
            if task is not None:
                task.cancel()
        await self.shadows.finish(5.0)
        self._loader.close()
        self._routing.withdraw(self.worker)
        self.shared.withdraw()
        self._hearsay.withdraw()
        await self._spools.close()

    async def _share(self) -> None:
        """Leave this worker's numbers for those that are asked in its place."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SHARE_EVERY_S)
            await loop.run_in_executor(None, self.shared.write, await gather(self))

    async def _watch(self) -> None:
        """Follow ``routing/current``: a newer one interrupts the loading of an older one."""
        seen: tuple[int, int] | None = None
        loading: asyncio.Task[None] | None = None
        retry_at_s = 0.0
        while True:
            if self._latest is not None:
                self._latest.follow()
            if self._workers > 1:
                with suppress(OSError, MainspringError):  # a full disk: they hear of it later
                    self._follow_others()
            mark = self._routing.mark()
            failed = loading is not None and loading.done() and loading.exception() is not None
            if mark is not None and (mark != seen or (failed and time.monotonic() >= retry_at_s)):
                if loading is not None and not loading.done():
                    loading.cancel()
                seen, retry_at_s = mark, time.monotonic() + _RETRY_S
                loading = asyncio.get_running_loop().create_task(self._load())
                await asyncio.sleep(0)
            await asyncio.sleep(LOOK_EVERY_S)

    def _follow_others(self) -> None:
        """Hear what other workers of this port have seen and taken out, without control, which may be away."""
        self._hearsay.tell(self.tripwires.tallies())
        for news in self._hearsay.hear():
            self.tripwires.hear(news)
        told = self._routing.told()
        if told == self._heard:
            return
        settled = time.time_ns() - told > _SETTLED_NS  # files may be replaced within one tick of their clock
        self._heard = told if settled else 0
        for other in self._routing.living():
            if other.worker != self.worker and other.generation == self.generation:
                self.tripwires.follow(other.disabled)

    async def _load(self) -> None:
        try:
            routing = self._routing.read()
            if routing is None or (self._snapshot is not None and routing.generation == self.generation):
                return
            self._coming = routing.models
            await self.swap(routing)
            self._coming, self._trouble, self._stale_since_s = (), "", 0.0
        except Exception as error:
            if str(error) != self._trouble:  # it is tried every second
                self.journal.event("swap_failed", "error", generation=self.generation, why=str(error))
            self._trouble, self._coming = str(error), ()  # what cannot be loaded is not on its way
            self.counters.swap_failures += 1
            self._stale_since_s = self._stale_since_s or time.monotonic()
            raise

    async def swap(self, routing: Routing) -> None:
        """Load a routing, swap it in by one reference and acknowledge it."""
        if routing.views and self._latest is None:
            self._latest = self._open_latest()
        snapshot = await self._loader.load(routing, self._latest)
        if not self.spooling or self.spool.acknowledgement != routing.acknowledgement:
            longest_s = max((model.route.deadline_ms for model in self.models()), default=0) / 1e3
            await self._spools.renew(routing.acknowledgement, _GRACE_S + longest_s)
        self._snapshot = snapshot
        self.counters.keep({model.model for model in routing.models})
        self.counters.swaps += 1
        shortest_s = min((model.deadline_ms / 1e3 for model in routing.models), default=math.inf)
        self.turns.be_patient(min(self.limits.queue_s, shortest_s * WAIT_SHARE))
        self.journal.event("swapped", generation=routing.generation, models=len(routing.models))
        self.guard.renew(routing.keys)
        releases = [model.release for model in routing.models if model.release]
        self.tripwires.keep(releases, {version.id for version in routing.versions})
        self._acknowledge()
        _set_aside()

    def _acknowledge(self) -> None:
        self._routing.acknowledge(self.worker, self.generation, pid=os.getpid(), disabled=self.tripwires.disabled)


def _set_aside() -> None:
    """Take what is loaded out of the collector's sight: else it looks through all of it, again and again, under load.

    It holds up every thread while it looks, for twenty milliseconds and more where libraries and graphs are loaded.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


_OIP, _TF, _MLFLOW = said_briefly, said_briefly, said_by_mlflow
ROUTES = RouteTable(
    (
        Route("POST", "/predict/{name}", predict, "predict"),
        Route("POST", "/outcomes/{name}", outcomes, "outcome"),
        Route("POST", "/sources/{name}", sources, "outcome"),
        Route("GET", "/live", live, "open", spared=True),
        Route("GET", "/ready", ready, "open", spared=True),
        Route("GET", "/metrics", metrics, "read", spared=True),
        Route("GET", "/drained", drained, "read", spared=True),
        Route("GET", "/openapi.json", openapi, "predict"),
        Route("GET", "/v2", foreign.server_metadata, "open", _OIP, spared=True),
        Route("GET", "/v2/health/live", foreign.server_live, "open", _OIP, spared=True),
        Route("GET", "/v2/health/ready", foreign.server_ready, "open", _OIP, spared=True),
        Route("GET", "/v2/models/{name}", foreign.model_metadata, "predict", _OIP),
        Route("GET", "/v2/models/{name}/versions/{version}", foreign.model_metadata, "predict", _OIP),
        Route("GET", "/v2/models/{name}/ready", foreign.model_ready, "predict", _OIP),
        Route("GET", "/v2/models/{name}/versions/{version}/ready", foreign.model_ready, "predict", _OIP),
        Route("POST", "/v2/models/{name}/infer", foreign.infer, "predict", _OIP),
        Route("POST", "/v2/models/{name}/versions/{version}/infer", foreign.infer, "predict", _OIP),
        Route("POST", "/v1/models/{name}:predict", foreign.tf_predict, "predict", _TF),
        Route("POST", "/v1/models/{name}/versions/{version}:predict", foreign.tf_predict, "predict", _TF),
        Route("GET", "/v1/models/{name}", foreign.tf_status, "predict", _TF),
        Route("GET", "/v1/models/{name}/versions/{version}", foreign.tf_status, "predict", _TF),
        Route("GET", "/v1/models/{name}/metadata", foreign.tf_metadata, "predict", _TF),
        Route("GET", "/v1/models/{name}/versions/{version}/metadata", foreign.tf_metadata, "predict", _TF),
        Route("GET", "/ping", foreign.ping, "open", _MLFLOW, spared=True),
        Route("GET", "/health", foreign.ping, "open", _MLFLOW, spared=True),
        Route("POST", "/invocations", foreign.invocations, "predict", _MLFLOW),
    )
)
