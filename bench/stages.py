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
from pathlib import Path
from typing import Any

import flights

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.edges.gateway.app import Gateway
from mainspring.edges.gateway.snapshot import Loader

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
    loader = Loader(home.run, FileBlobs(home.blobs, disk).get)
    gateway = Gateway(home, disk, home.clock(), "bench", loader, lambda: LmdbLatest(home.latest, read_only=True))
    gateway.__rsgi_init__(asyncio.get_running_loop())
    while gateway.generation == 0:
        await asyncio.sleep(0.01)
    return gateway


async def whole(gateway: Gateway, bodies: list[bytes]) -> float:
    """Return the µs of processor time of one request, its share of the flusher's thread included."""
    scopes = [(Scope(body), body) for body in bodies]
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for call in range(CALLS):
            scope, body = scopes[call % len(scopes)]
            proto = Proto(body)
            await gateway.__rsgi__(scope, proto)
            if proto.status != 200:
                raise RuntimeError(proto.answer)
        spent.append((time.process_time_ns() - began) / CALLS / 1_000)
    return min(spent)


async def main(graph: Path | None, profile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = flights.prepare(Path(folder), graph)
        gateway = await opened(Home(flights.home(site, "home")))
        one = [body.encode() for body in site.own]
        many = [body.encode() for body in site.own_lists]
        print(f"one row: {await whole(gateway, one):.1f} µs")
        print(f"100 rows: {await whole(gateway, many[:2]):.1f} µs")
        if profile:
            profiler = cProfile.Profile()
            profiler.enable()
            await whole(gateway, one)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
        await gateway.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--graph", type=Path)
    options.add_argument("--profile", action="store_true")
    given = options.parse_args()
    asyncio.run(main(given.graph, given.profile))
