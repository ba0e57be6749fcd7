"""Turns of a home that is up on a simulated clock: what came true is told, rows are asked for, the loop steps once."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any, ClassVar

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.edges.cli.asking import ask
from mainspring.edges.verbs import find
from mainspring.kernel.clock import SimulatedClock
from mainspring.testing.traffic import Traffic

READY_S = 60


class Turns:
    """Plays turns; what is asked, and what comes of it, a story says. ``model`` is asked every ``turn_is``."""

    model: ClassVar[str]
    turn_is: ClassVar[timedelta]

    def __init__(self, home: Home, port: int) -> None:
        self.home, self.port = home, port
        self._clock = SimulatedClock(home.root / "clock", writable=True)
        self._routing = RoutingFile(home.routing, LocalDisk())
        self._dice = random.Random(2)
        self.turn = 0
        self.generations: list[int] = []

    def verb(self, name: str, **arguments: Any) -> Any:
        return ask(find(name), arguments, home=self.home.root, by="ann")

    def now(self) -> str:
        return self._clock.now().isoformat()

    def play(self, turns: int) -> None:
        for _ in range(turns):
            asyncio.run(self._turn())

    def play_until_over(self, release: str, most: int = 14) -> dict[str, Any]:
        for _ in range(most):
            self.play(1)
            found: dict[str, Any] = self.verb("release show", release=release)
            if found["stage"] == "over":
                return found
        raise AssertionError(f"not over after {most} turns: {found['decision']}")

    def let_pass(self, number: str) -> None:
        """Check a version, and let it pass by a person's word."""
        for result in self.verb("check", model=self.model, version=number):
            if result["status"] == "failed" and result["severity"] == "block":
                self.verb("override", model=self.model, version=number, check=result["name"], reason="a story")

    async def taken_up(self) -> None:
        """Wait until the gateways answer by the routing that control wrote last."""
        routing = self._routing.read()
        assert routing is not None
        for _ in range(3_000):
            said = self._routing.acknowledgements()
            if said and min(generation for generation, _ in said.values()) >= routing.generation:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the gateway did not take up the routing")

    async def _turn(self) -> None:
        self.turn += 1
        await self.taken_up()
        self._clock.advance(self._clock.now() + self.turn_is)
        traffic = Traffic("127.0.0.1", self.port, 2)
        await traffic.wait_until_ready(READY_S)
        came = self._outcomes()
        if came:
            await traffic.post(f"/outcomes/{self.model}", [json.dumps(came).encode()])
        await traffic.post(f"/predict/{self.model}", self._questions(), on_answer=self._answered)
        while json.loads((await traffic.get("/drained"))[1])["waiting"]:
            await asyncio.sleep(0.005)
        await traffic.wait_until_ready(READY_S)
        traffic.close()
        self.generations.append(self.verb("loop step")["generation"])

    def _outcomes(self) -> list[dict[str, Any]]:
        """Return what came true of the turn before."""
        raise NotImplementedError

    def _questions(self) -> list[bytes]:
        """Return the bodies of this turn's requests, and begin to count its answers."""
        raise NotImplementedError

    def _answered(self, index: int, status: int, body: bytes) -> None:
        """Take one answer."""
        raise NotImplementedError
