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
from mainspring.adapters.spools import spool_opener
from mainspring.edges.gateway import predict
from mainspring.edges.gateway.app import ROUTES, Gateway
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.snapshot import Loader, Local
from mainspring.log.frame import encode_set
from mainspring.serving.limits import Limits
from mainspring.training.conversion.pack import pack

ROUNDS = 9
CALLS = 1_500


class Headers(dict[str, str]):
    """The headers of a request; ``get`` is all that is asked of them."""


class Scope:
    """A request as Granian gives it."""

    method, query_string, path = "POST", "", "/predict/late"

    def __init__(self, body: bytes) -> None:
        self.headers = Headers({"content-length": str(len(body)), "content-type": "application/json", "host": "a"})


class Proto:
    """Takes the answer; gives the body without waiting."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.status = 0
        self.answer = b""

    async def __call__(self) -> bytes:
        return self._body

    def response_bytes(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.answer = status, body


async def opened(home: Home) -> Gateway:
    disk = LocalDisk()
    loader = Loader(home.run, FileBlobs(home.blobs, disk).get, 512)
    latest = LmdbLatest(home.latest, read_only=True)
    gateway = Gateway(
        home, disk, home.clock(), "bench", loader, lambda: latest, Limits(),
        new_spool=spool_opener("", home.spool, disk), journal=Journal("bench"),
    )  # fmt: skip
    gateway.__rsgi_init__(asyncio.get_running_loop())
    while gateway.generation == 0:
        await asyncio.sleep(0.01)
    return gateway


async def turn(gateway: Gateway, bodies: list[bytes], calls: int) -> float:
    """Return the µs of processor time of one request, its share of the flusher's thread included."""
    scopes = [(Scope(body), body) for body in bodies]
    began = time.process_time_ns()
    for call in range(calls):
        scope, body = scopes[call % len(scopes)]
        proto = Proto(body)
        await gateway.__rsgi__(scope, proto)
        if proto.status != 200:
            raise RuntimeError(proto.answer)
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
    model, scope, proto = gateway.snapshot().model("late"), Scope(body), Proto(body)
    codec, headers, now_us = model.codecs["native"], scope.headers, gateway.clock.now_us()
    decoded = codec.decode(body, headers)
    asked = predict.Asked("b-1", model, 1, now_us, time.perf_counter_ns(), 10**9, decoded.rows)
    drawn = predict._spool_request(gateway, asked, body, now_us, headers)
    asked.looked = model.look_up(decoded.rows, now_us)
    arm = model.champion
    engine = arm.engine
    if not isinstance(engine, Local):
        raise TypeError("the graph is not in this process")
    row = arm.row(decoded.rows[0], asked.looked[0])
    ran = predict.run_here(engine, arm, asked, range(1), 100.0)
    part = predict.Part(asked, arm, "served", range(1), "rel_1")
    made = predict._Scores(part, ran).records()
    answers = predict._answer_here(gateway, asked, drawn)
    if answers is None:
        raise RuntimeError("the answer has to be waited for")
    said = answers.said()
    table: list[tuple[str, Callable[[], object]]] = [
        ("find the route", lambda: ROUTES.find("POST", "/predict/late")),
        ("decode and validate", lambda: codec.decode(body, headers)),
        (
            "draw, hand the request to the log",
            lambda: predict._spool_request(gateway, asked, body, now_us, headers),
        ),
        ("two look-ups", lambda: model.look_up(decoded.rows, now_us)),
        ("put the row together", lambda: arm.row(decoded.rows[0], asked.looked[0])),
        ("feed and run the graph", lambda: engine.runtime.one(row)),
        ("run, count and hand the answer to the log", lambda: predict._answer_here(gateway, asked, drawn)),
        ("encode the answer", lambda: codec.encode(decoded, "b-1", said)),
        ("send it", lambda: gateway.respond(proto, b"", headers=floor.HEADERS)),
        ("count it", lambda: gateway.counters.took["mdl_1"].add(120)),
        ("writing thread: make a scored record", lambda: predict._Scores(part, ran).records()),
        ("writing thread: encode it", lambda: encode_set(made)),
    ]
    for name, work in table:
        print(f"  {name:44}{_least_us(work):6.1f} µs")


def _least_us(work: Callable[[], object], calls: int = 500) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(calls):
            work()
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
