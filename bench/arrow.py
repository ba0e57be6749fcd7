"""A thousand rows a request as an Arrow stream against the same rows as JSON: ``python bench/arrow.py [--profile]``.

Both go through the gateway's own code in this process, in turns, with two look-ups and the log; the ratio is of the
processor time that a request takes, the flusher's thread included.
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
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE
from mainspring.edges.gateway.snapshot import Local
from mainspring.serving.columnar import ColumnRows, by_column
from mainspring.serving.looked import LookedRows

ROUNDS = 9
CALLS = 15


async def turn(gateway: Gateway, body: bytes, kind: str) -> float:
    """Return the ms of processor time that a request takes."""
    began = time.process_time_ns()
    for _ in range(CALLS):
        ask(gateway, body, kind)
        await asyncio.sleep(0)
    return (time.process_time_ns() - began) / CALLS / 1e6


def graph_alone(gateway: Gateway, body: bytes) -> float:
    """Return the ms of processor time that the graph itself takes for the rows."""
    model = gateway.snapshot().models()[0]
    rows = by_column(model.codecs["arrow"].decode(body, {}).rows)
    looked, engine = model.look_up(rows, gateway.clock.now_us()), model.champion.engine
    if not isinstance(rows, ColumnRows) or not isinstance(looked, LookedRows) or not isinstance(engine, Local):
        raise TypeError("the rows are not held by column")
    columns = model.champion.columns(rows, looked)
    began = time.thread_time_ns()
    engine.runtime.run_columns(columns, len(rows))
    return (time.thread_time_ns() - began) / 1e6


async def main(profile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = flights.prepare(Path(folder))
        gateway = await opened(Home(flights.home(site, "home")))
        rows: list[dict[str, Any]] = [row for body in site.own_lists for row in json.loads(body)]
        buffer = io.BytesIO()
        pl.DataFrame(rows).write_ipc_stream(buffer)
        json_body, arrow_body = json.dumps(rows).encode(), buffer.getvalue()
        taken = [
            (await turn(gateway, json_body, "application/json"), await turn(gateway, arrow_body, CONTENT_TYPE))
            for _ in range(ROUNDS)
        ]
        by_json, by_arrow = min(one for one, _ in taken), min(one for _, one in taken)
        graph = min(graph_alone(gateway, arrow_body) for _ in range(ROUNDS * CALLS))
        print(f"{len(rows)} rows: JSON {by_json:.2f} ms, Arrow {by_arrow:.2f} ms, ratio {by_json / by_arrow:.2f}")
        print(f"the graph alone {graph:.2f} ms: no stream could do better than {by_json / graph:.2f}")
        if profile:
            profiler = cProfile.Profile()
            profiler.enable()
            for _ in range(ROUNDS):
                await turn(gateway, arrow_body, CONTENT_TYPE)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        await gateway.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--profile", action="store_true")
    asyncio.run(main(options.parse_args().profile))
