"""The application of one worker: how requests find their handler, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.edges.gateway.bodies import Bodies
from mainspring.edges.gateway.crowd import Crowd
from mainspring.edges.gateway.follower import Follower
from mainspring.edges.gateway.guard import Guard
from mainspring.edges.gateway.health import SHARE_EVERY_S, Shared, gather
from mainspring.edges.gateway.hearsay import Hearsay
from mainspring.edges.gateway.http.exchange import Exchange, Headers
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.limits import DEADLINE, JSON, Late, TooMany, problem
from mainspring.edges.gateway.loader import Loader
from mainspring.edges.gateway.metrics import Counters
from mainspring.edges.gateway.predict import WAIT_SHARE, score_together
from mainspring.edges.gateway.routes import Route
from mainspring.edges.gateway.shadow import Shadows
from mainspring.edges.gateway.snapshot import Model
from mainspring.edges.gateway.spools import Spools
from mainspring.edges.gateway.table import ROUTES
from mainspring.edges.gateway.together import Together
from mainspring.edges.gateway.told import Refusal, Told, Witness, read_trace
from mainspring.edges.gateway.tripwires import Tripwires
from mainspring.edges.gateway.turns import EASY, Turns
from mainspring.features.ports import Latest
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import MainspringError, Unavailable
from mainspring.kernel.ids import PredictionIds
from mainspring.log.ports import Disk, Spool
from mainspring.log.spool import Acknowledgement
from mainspring.serving.limits import Limits
from mainspring.serving.routing import Routing

GONE = 499  # nobody was there to be answered
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
        self.home = home
        self.worker = worker
        self.follower = Follower(
            RoutingFile(home.routing, disk),
            worker,
            loader,
            latest,
            self.tripwires,
            journal=journal,
            counters=self.counters,
            others=Hearsay(home.run, worker) if workers > 1 else None,
        )
        self.draining = False
        self.journal = journal
        self._spools = Spools(new_spool, lambda why: journal.event("spool_lost", "error", why=why))
        self.witnesses = witnesses  # of answers
        self.listeners: tuple[Witness, ...] = tuple(dict.fromkeys((journal, *witnesses)))  # of refusals
        self._workers = workers
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

    async def not_ready(self) -> str | None:
        """Return why this worker should not be asked, or None. That control is away is no reason."""
        if self.draining:
            return "it is being stopped"
        why = self.follower.not_ready(self.limits.stale_routing_s)
        if why is not None:
            return why
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
        self._watcher = loop.create_task(self.follower.follow(self))
        if self._workers > 1:
            self._sharer = loop.create_task(self._share())

    async def close(self) -> None:
        """Finish what is under way, write the spool to its end, and say that this worker answers no more."""
        for task in (self._watcher, self._sharer):
            if task is not None:
                task.cancel()
        await self.shadows.finish(5.0)
        self.follower.close()
        self.shared.withdraw()
        await self._spools.close()

    async def _share(self) -> None:
        """Leave this worker's numbers for those that are asked in its place."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SHARE_EVERY_S)
            await loop.run_in_executor(None, self.shared.write, await gather(self))

    def _acknowledge(self) -> None:
        self.follower.acknowledge()

    async def prepare(self, routing: Routing, models: Sequence[Model]) -> None:
        """Open a spool for a routing with another policy; the old one takes what belongs to requests under way."""
        if not self.spooling or self.spool.acknowledgement != routing.acknowledgement:
            longest_s = max((model.route.deadline_ms for model in models), default=0) / 1e3
            await self._spools.renew(routing.acknowledgement, _GRACE_S + longest_s)

    def swapped(self, routing: Routing) -> None:
        """Take the keys of a new routing, and let nobody wait for longer than half of its shortest deadline."""
        shortest_s = min((model.deadline_ms / 1e3 for model in routing.models), default=math.inf)
        self.turns.be_patient(min(self.limits.queue_s, shortest_s * WAIT_SHARE))
        self.guard.renew(routing.keys)
