"""Where the time of one request goes, in µs of this process: ``python bench/stages.py [--graph FILE] [--profile]``.

The gateway's own code is called in a loop, without a server before it, so that a stage can be told from the noise.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _flights as flights
import _floor as floor

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.settings import Settings
from mainspring.adapters.spools import spool_opener
from mainspring.edges.gateway import answering, drawing, running, work
from mainspring.edges.gateway.app import Gateway
from mainspring.edges.gateway.engines import Local
from mainspring.edges.gateway.http.exchange import Exchange
from mainspring.edges.gateway.http.head import Heads, Reading
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.loader import Loader
from mainspring.edges.gateway.table import ROUTES
from mainspring.log.frame import encode_set
from mainspring.serving.limits import Limits
from mainspring.training.conversion.pack import pack

ROUNDS = 9
CALLS = 1_500
HEADS = Heads(65_536)


class Line:
    """Stands in a connection's place: takes the answer."""

    def __init__(self) -> None:
        self.status = 0
        self.said = b""

    def answer(self, exchange: Exchange, status: int, headers: Any, body: bytes) -> None:
        self.status, self.said = status, body


def request(body: bytes, kind: str = "application/json", line: Line | None = None) -> Exchange:
    """Return a request as a connection hands it over."""
    head = (
        f"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    made = Exchange(line or Line(), HEADS.read(head))  # type: ignore[arg-type]
    made.body = body
    return made


def ask(gateway: Gateway, body: bytes, kind: str = "application/json") -> None:
    """Ask once and wait for nothing: the answer is there when this returns."""
    line = Line()
    exchange = request(body, kind, line)
    gateway.opened(exchange)
    gateway.asked(exchange)
    if line.status != 200:
        raise RuntimeError(f"{line.status}: {line.said!r}")


async def opened(home: Home) -> Gateway:
    disk = LocalDisk()
    loader = Loader(home.run, FileBlobs(home.blobs, disk).get, 512)
    latest = LmdbLatest(home.latest, read_only=True)
    gateway = Gateway(
        home, disk, home.clock(), "bench", loader, lambda: latest, Limits(),
        new_spool=spool_opener(Settings(), home.spool, disk), journal=Journal("bench"),
    )  # fmt: skip
    gateway.start()
    while gateway.follower.generation == 0:
        await asyncio.sleep(0.01)
    return gateway


async def turn(gateway: Gateway, bodies: list[bytes], calls: int) -> float:
    """Return the µs of processor time of one request, its share of the flusher's thread included."""
    began = time.process_time_ns()
    for call in range(calls):
        ask(gateway, bodies[call % len(bodies)])
    return (time.process_time_ns() - began) / calls / 1_000


def bare_turn(answer: Callable[[bytes], bytes], bodies: list[bytes], calls: int) -> float:
    began = time.process_time_ns()
    for call in range(calls):
        answer(bodies[call % len(bodies)])
    return (time.process_time_ns() - began) / calls / 1_000


async def compare(
    gateway: Gateway, answer: Callable[[bytes], bytes], own: list[str], bare: list[str], what: str
) -> None:
    """Print the least time of both in turns: of a busy machine the least is what the work itself takes."""
    ours, theirs = [body.encode() for body in own], [body.encode() for body in bare]
    calls = CALLS if len(bare[0]) < 2_000 else CALLS // 20
    taken = [(await turn(gateway, ours, calls), bare_turn(answer, theirs, calls)) for _ in range(ROUNDS)]
    least, floor = min(one for one, _ in taken), min(one for _, one in taken)
    print(f"{what}: gateway {least:.1f} µs, bare handler {floor:.1f} µs, ratio of times {least / floor:.2f}")


def stages(gateway: Gateway, body: bytes) -> None:
    """Print what each stage takes when it is called again and again: less than in a request, where caches are cold."""
    model, exchange = gateway.follower.snapshot().model("late"), request(body)
    codec, headers, now_us = model.codecs["native"], exchange.head.headers, gateway.clock.now_us()
    decoded = codec.decode(body, headers)
    asked = work.Asked("b-1", gateway.spool, model, 1, now_us, time.perf_counter_ns(), 10**9, decoded.rows)
    drawing.spool_request(gateway, asked, body, now_us, headers)
    asked.looked = model.look_up(decoded.rows, now_us)
    arm = model.champion
    engine = arm.engine
    if not isinstance(engine, Local):
        raise TypeError("the graph is not in this process")
    row = arm.row(decoded.rows[0], asked.looked[0])
    ran = running.run_here(arm, asked, range(1), 100.0)
    part = work.Part(asked, arm, "served", range(1), "rel_1")
    made = running._Scores(part, ran).records()
    said = answering.answered_here(gateway, asked, arm, ran).said()
    raw = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
    ten = [row] * 10
    table: list[tuple[str, Callable[[], object]]] = [
        ("read a head that llhttp must read", lambda: Reading().head(raw)),
        ("read a head that is known", lambda: HEADS.read(raw)),
        ("find the route", lambda: ROUTES.find("POST", "/predict/late")),
        ("decode and validate", lambda: codec.decode(body, headers)),
        (
            "draw, hand the request to the log",
            lambda: drawing.spool_request(gateway, asked, body, now_us, headers),
        ),
        ("two look-ups", lambda: model.look_up(decoded.rows, now_us)),
        ("put the row together", lambda: arm.row(decoded.rows[0], asked.looked[0])),
        ("feed and run the graph", lambda: engine.runtime.one(row)),
        ("feed and run ten rows together", lambda: engine.runtime.few(ten)),
        ("count, hand the answer to the log", lambda: answering.answered_here(gateway, asked, arm, ran)),
        ("encode the answer", lambda: codec.encode(decoded, "b-1", said)),
        ("say it", lambda: gateway.respond(request(body), gateway.spool, b"", headers=floor.HEADERS)),
        ("count it", lambda: gateway.counters.took["mdl_1"].add(120)),
        ("writing thread: make a scored record", lambda: running._Scores(part, ran).records()),
        ("writing thread: encode it", lambda: encode_set(made)),
    ]
    for name, call in table:
        print(f"  {name:44}{_least_us(call):6.1f} µs")


def _least_us(call: Callable[[], object], calls: int = 500) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(calls):
            call()
        taken.append((time.process_time_ns() - began) / calls / 1_000)
    return min(taken)


async def main(graph: Path | None, profile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = flights.prepare(Path(folder), graph)
        answer = floor.answerer(site.graph)
        for name, packed in (("packed", pack(Path(site.graph).read_bytes())), ("columns", None)):
            gateway = await opened(Home(flights.home(site, name, packed=packed)))
            await compare(gateway, answer, site.own, site.bare, f"{name}, one row")
            await compare(gateway, answer, site.own_lists, site.bare_lists, f"{name}, 100 rows")
            stages(gateway, site.own[0].encode())
            if profile:
                profiler = cProfile.Profile()
                profiler.enable()
                await turn(gateway, [body.encode() for body in site.own], CALLS * ROUNDS)
                profiler.disable()
                pstats.Stats(profiler).sort_stats("tottime").print_stats(60)
            await gateway.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--graph", type=Path)
    options.add_argument("--profile", action="store_true")
    given = options.parse_args()
    asyncio.run(main(given.graph, given.profile))
