"""The play: in turns, advance the clock, tell what became known, ask for predictions, turn the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.edges.cli.asking import ask
from mainspring.edges.demo.script import ENTRANCES, MODEL, SETTLE, SLICE, SLICED, START, TURN, Entrance
from mainspring.edges.demo.traveller import Traveller
from mainspring.edges.verbs import find
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.errors import MainspringError, Unavailable
from mainspring.testing.traffic import Traffic

Progress = Callable[[datetime, str], None]
ACTOR = "demo"
_CONNECTIONS = 8
_DRAIN_LIMIT_S = 180.0
_ROUTING_LIMIT_S = 120.0
_ROUTINE = ("Evaluate", "Read", "Retain")  # what the loop does every day is not told


class Played(msgspec.Struct):
    """How far the play came; kept in the home after each turn, so that it can be resumed."""

    until: datetime = START
    entered: list[str] = []
    challengers: dict[str, str] = {}
    refused: dict[str, str] = {}
    sent: int = 0
    answered: int = 0
    failed: int = 0
    seconds: float = 0.0
    peak_rss_mb: float = 0.0


def load(home: Home) -> Played:
    """Return how far an earlier play came in this home."""
    path = _state_file(home)
    return msgspec.json.decode(path.read_bytes(), type=Played) if path.exists() else Played()


def save(home: Home, played: Played) -> None:
    """Keep how far the play came."""
    path = _state_file(home)
    staged = path.with_suffix(".new")
    with staged.open("wb") as file:
        file.write(msgspec.json.encode(played))
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)


def _state_file(home: Home) -> Path:
    return home.root / "play.json"


class Play:
    """Drives one home through its turns. ``played`` changes as it goes."""

    def __init__(
        self, home: Home, port: int, traveller: Traveller, played: Played, routing: RoutingFile, progress: Progress
    ) -> None:
        self._home = home
        self._traveller = traveller
        self._played = played
        self._routing = routing
        self._progress = progress
        self._clock = SimulatedClock(home.root / "clock", writable=True)
        self._asking = Traffic("127.0.0.1", port, _CONNECTIONS)
        self._telling = Traffic("127.0.0.1", port, 1)

    async def run(self, until: datetime, already: Collection[str] = ()) -> None:
        """Play up to ``until``; ``already`` are flights that an interrupted turn had asked about."""
        await self._asking.wait_until_ready(60)
        await self._await_generation()
        self._played.sent += len(already)  # by the play that was interrupted; the log has their answers
        self._played.answered += len(already)
        while self._played.until < until + SETTLE:
            since = self._played.until
            turn_ends = min(since + TURN, until + SETTLE)
            await self._turn(since, turn_ends, until, already)
            self._played.until = turn_ends
            save(self._home, self._played)
            already = ()
        self._asking.close()
        self._telling.close()

    async def _turn(self, since: datetime, turn_ends: datetime, until: datetime, already: Collection[str]) -> None:
        length = SLICE if self._sliced() else TURN
        while since < turn_ends:
            slice_ends = min(since + length, turn_ends)
            await self._slice(since, slice_ends, until, already)
            since = slice_ends
        self._asking.close()  # the loop may take a minute now, and a gateway hangs up on idle lines
        self._telling.close()
        for entrance in ENTRANCES:
            if entrance.at <= turn_ends and entrance.at <= until and entrance.recipe not in self._played.entered:
                self._enter(entrance)
        turned = self.verb("loop step")
        self._keep_first_for_comparison()
        await self._await_generation()
        done = [word for word in turned["actions"] if not word.startswith(_ROUTINE)]
        self._progress(turn_ends, ", ".join(done))

    async def _slice(self, since: datetime, slice_ends: datetime, until: datetime, already: Collection[str]) -> None:
        self._clock.advance(max(slice_ends, self._clock.now()))
        landed = await self._tell_sources(since, slice_ends)
        for body in self._traveller.outcomes(since, slice_ends):
            await self._tell(f"/outcomes/{MODEL}", [body])
        if since < until:
            await self._ask_predictions(since, min(slice_ends, until), already)
        await self._tell("/sources/flights_as_scheduled", landed)

    def _sliced(self) -> bool:
        """Tell whether a challenger is running that reads a source whose known-at is not to be trusted."""
        running = {release["id"] for release in self.verb("release list", model=MODEL, running=True)}
        return any(self._played.challengers.get(recipe) in running for recipe in SLICED)

    async def _tell_sources(self, since: datetime, until: datetime) -> list[bytes]:
        landed = self._traveller.landed(since, until)
        await self._tell("/sources/flights", landed)
        await self._tell("/sources/weather", self._traveller.observed(since, until))
        await self._flush()
        self.verb("loop ingest")
        return landed

    async def _tell(self, path: str, bodies: list[bytes]) -> None:
        def check(index: int, status: int, answer: bytes) -> None:
            if status != 202:
                raise Unavailable(f"{path} answered {status}: {answer.decode(errors='replace')[:300]}", field="demo")

        await self._telling.post(path, bodies, on_answer=check)

    async def _ask_predictions(self, since: datetime, until: datetime, already: Collection[str]) -> None:
        bodies, moments = self._traveller.questions(since, until, already)
        before = (self._asking.sent, self._asking.answered, self._asking.failed)
        headers = [{"x-mainspring-at": moment} for moment in moments]
        await self._asking.post(f"/predict/{MODEL}", bodies, headers)
        self._played.sent += self._asking.sent - before[0]
        self._played.answered += self._asking.answered - before[1]
        self._played.failed += self._asking.failed - before[2]
        await self._drain()

    async def _drain(self) -> None:
        """Wait until the shadows have scored everything and the spool is written."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _DRAIN_LIMIT_S
        while loop.time() < ends_s:
            _, body = await self._telling.get("/drained")
            if msgspec.json.decode(body)["waiting"] == 0:
                await self._flush()
                return
            await asyncio.sleep(0.003)
        raise Unavailable("the shadows did not finish", field="demo", remedy="see run/*.log in the home")

    async def _flush(self) -> None:
        """Wait until the gateway has written its spool: being ready includes that."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _DRAIN_LIMIT_S
        while True:
            status, body = await self._telling.get("/ready")
            if status == 200:
                return
            if loop.time() > ends_s:
                raise Unavailable(f"the gateway is not ready: {body.decode(errors='replace')[:300]}", field="demo")

    async def _await_generation(self) -> None:
        routing = self._routing.read()
        generation = routing.generation if routing else 0
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _ROUTING_LIMIT_S
        while loop.time() < ends_s:
            said = self._routing.acknowledgements()
            if said and min(number for number, _ in said.values()) >= generation:
                return
            await asyncio.sleep(0.01)
        raise Unavailable("the gateway did not take up the routing", field="demo", remedy="see run/*.log in the home")

    def _enter(self, entrance: Entrance) -> None:
        """Train, check and release a challenger, as a person would by command; not again after an interruption."""
        self._played.entered.append(entrance.recipe)
        for release in self.verb("release list", model=MODEL):
            if release["recipe"] == entrance.recipe:
                self._played.challengers[entrance.recipe] = release["id"]
                return
        try:
            run = self.verb("train", model=MODEL, recipe=entrance.recipe, reason=entrance.reason)
            number = str(run["number"])
            self.verb("check", model=MODEL, version=number)
            release = self.verb("release start", model=MODEL, version=number, reason=entrance.reason)
            self._played.challengers[entrance.recipe] = release["id"]
        except MainspringError as error:
            self._played.refused[entrance.recipe] = error.sentence()

    def _keep_first_for_comparison(self) -> None:
        """Once version 1 has lost its place, let it go on scoring in shadow: the play compares with it."""
        champion = self.verb("champion", model=MODEL)
        if champion["number"] != 1 and not self.verb("alias history", model=MODEL, alias="baseline"):
            self.verb("alias set", model=MODEL, alias="baseline", version="1", reason="kept for comparison")
            self.verb("loop step")

    def verb(self, name: str, **arguments: Any) -> Any:
        """Ask control for a verb, over HTTP."""
        return ask(find(name), arguments, home=self._home.root, by=ACTOR)


def peak_rss_mb(pids: Collection[int]) -> float:
    """Return the memory of these processes and all their children now, shared pages counted in each (Linux)."""
    total_kb, waiting = 0, list(pids)
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total_kb += int(line.split()[1])
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return total_kb / 1024
