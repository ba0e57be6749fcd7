"""A thousand rows a request as an Arrow stream against the same rows as JSON: ``python bench/arrow.py [--profile]``.

All go through the gateway's own code in this process, in turns, with two look-ups and the log; told is the processor
time that a row takes, the flusher's thread included, and how much of it is the graph's own.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import io
import json
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import _flights as flights
import polars as pl
from stages import ask, opened

from mainspring.adapters.home import Home
from mainspring.edges.gateway.app import Gateway
from mainspring.edges.gateway.engines import Local
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE
from mainspring.serving.columnar import ColumnRows, by_column
from mainspring.serving.looked import LookedRows
from mainspring.training.conversion.pack import pack

ROUNDS = 9
ROWS = 10_000  # of each kind of body, in a round


async def turn(gateway: Gateway, bodies: list[bytes], kind: str, rows: int) -> float:
    """Return the µs of processor time that a row takes."""
    began = time.process_time_ns()
    for _ in range(max(1, ROWS // rows // len(bodies))):
        for body in bodies:
            ask(gateway, body, kind)
        await asyncio.sleep(0)
    gateway.spool.flush()  # so that no turn pays for what another one left to the writing thread
    return (time.process_time_ns() - began) / ROWS / 1e3


def graph_alone(gateway: Gateway, body: bytes) -> float:
    """Return the µs of processor time that the graph itself takes for a row."""
    model = gateway.follower.snapshot().models()[0]
    rows = by_column(model.codecs["arrow"].decode(body, {}).rows)
    looked, engine = model.look_up(rows, gateway.clock.now_us()), model.champion.engine
    if not isinstance(rows, ColumnRows) or not isinstance(looked, LookedRows) or not isinstance(engine, Local):
        raise TypeError("the rows are not held by column")
    columns = model.champion.columns(rows, looked)
    began = time.thread_time_ns()
    engine.runtime.run_columns(columns, len(rows))
    return (time.thread_time_ns() - began) / len(rows) / 1e3


async def main(profile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = flights.prepare(Path(folder))
        packed = pack(Path(site.graph).read_bytes())
        gateway = await opened(Home(flights.home(site, "home", packed=packed)))
        rows: list[dict[str, Any]] = [row for body in site.own_lists for row in json.loads(body)]
        buffer = io.BytesIO()
        pl.DataFrame(rows).write_ipc_stream(buffer)
        arrow_body = buffer.getvalue()
        asked = {
            "Arrow, 1,000 rows": ([arrow_body], CONTENT_TYPE, 1_000),
            "JSON, 1,000 rows": ([json.dumps(rows, separators=(",", ":")).encode()], "application/json", 1_000),
            "JSON, 100 rows": ([body.encode() for body in site.own_lists], "application/json", 100),
            "JSON, one row": ([body.encode() for body in site.own], "application/json", 1),
        }
        taken: dict[str, list[float]] = {what: [] for what in asked}
        for _ in range(ROUNDS):
            for what, (bodies, kind, many) in asked.items():
                taken[what].append(await turn(gateway, bodies, kind, many))
        arrow = min(taken["Arrow, 1,000 rows"])
        for what, spent in taken.items():
            print(f"{what}: {min(spent):.2f} µs a row, {min(spent) / arrow:.2f} × that of the stream")
        graph = min(graph_alone(gateway, arrow_body) for _ in range(ROUNDS * 15))
        least = min(taken["JSON, 1,000 rows"])
        print(f"the graph alone {graph:.2f} µs a row: no stream could do better than {least / graph:.2f} × JSON")
        if profile:
            profiler = cProfile.Profile()
            profiler.enable()
            for _ in range(ROUNDS):
                await turn(gateway, [arrow_body], CONTENT_TYPE, 1_000)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        await gateway.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--profile", action="store_true")
    asyncio.run(main(options.parse_args().profile))
