"""The gateway against a bare handler: same server, same graph, one input a column; no routing, look-up or log.

Run: python bench/gateway.py [seconds]. Prints requests per second of both and their ratio, measured in turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import create_home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.routing import RoutingFile
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column
from mainspring.serving.routing import ViewRoute
from mainspring.testing.models import COLUMNS, linear_onnx, model_route, onnx_version, routing
from mainspring.testing.traffic import Traffic

NUMBERS = [f"x{number}" for number in range(12)]
ROUNDS = 3


def graph() -> bytes:
    """Return a graph with fifteen inputs of two kinds, as small as one can be."""
    return linear_onnx(dict.fromkeys([*NUMBERS, "temp", "flights"], 0.01), texts={"carrier": {"UA": 0.1, "DL": -0.1}})


async def bare(port: int, model: str) -> None:
    """Serve the floor: parse, feed, run, answer."""
    import numpy as np
    import onnxruntime
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server.embed import Server

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    names = [*NUMBERS, "temp", "flights"]

    async def app(scope: Any, proto: Any) -> None:
        rows = json.loads(await proto())["rows"]
        feed = {"carrier": np.array([[row["carrier"]] for row in rows], dtype=object)}
        for name in names:
            feed[name] = np.array([[row[name]] for row in rows], dtype=np.float32)
        answer = json.dumps({"p": session.run(None, feed)[0][:, 0].tolist()}).encode()
        proto.response_bytes(200, [("content-type", "application/json")], answer)

    options = {"interface": Interfaces.RSGI, "websockets": False, "log_level": LogLevels.error}
    await Server(app, address="127.0.0.1", port=port, **options).serve()


def home(root: Path) -> None:
    """Make a home with one champion, two views fed with some keys, and a routing."""
    made = create_home(root)
    disk = LocalDisk()
    blobs = FileBlobs(made.blobs, disk)
    columns = (*COLUMNS, *(Column(name, "float") for name in NUMBERS))
    source = SourceSpec(
        "weather", PushReader(), "at", ("carrier",), known_after_us=0,
        columns=(Column("carrier", "str"), Column("at", "time"), Column("temp", "float", True)),
    )  # fmt: skip
    views = [
        ViewSpec("last", "weather", ("carrier",), (Feature("temp", "last", "temp"),), 10**12),
        ViewSpec("recent", "weather", ("carrier",), (Feature("flights", "count", over_us=10**12),)),
    ]
    rows = pl.DataFrame({"carrier": ["UA", "DL"], "temp": [1.0, 2.0]}).with_columns(
        pl.lit(time.time_ns() // 1_000 - 10**9).cast(pl.Datetime("us", "UTC")).alias("at")
    )
    latest = LmdbLatest(made.latest)
    for view in views:
        latest.put(view.digest(source), view, source, rows)
    inputs = [*(Column(name, "float") for name in NUMBERS), Column("temp", "float", True), Column("flights", "int")]
    champion = onnx_version(
        blobs, "ver_1", 1, graph(), [*inputs, Column("carrier", "str")],
        views=tuple(view.digest(source) for view in views),
        features={"temp": "last.temp", "flights": "recent.flights"},
    )  # fmt: skip
    routes = tuple(ViewRoute(view.digest(source), "prj_1", view, "src_1") for view in views)
    model = model_route(champion, columns=columns)
    RoutingFile(made.routing, disk).write(routing(1, model, [champion], views=routes))


def cpu_s(pid: int) -> float:
    """Return the processor time of a process: on a busy machine it tells more than the wall clock (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(pid: int, port: int, path: str, body: bytes, seconds: float) -> tuple[float, float]:
    """Return requests per second over 16 connections, and requests per second of processor time."""
    async with Traffic("127.0.0.1", port, connections=16) as traffic:
        await traffic.post(path, [body] * 500)
        began, spent_before_s = time.perf_counter(), cpu_s(pid)
        while time.perf_counter() - began < seconds:
            await traffic.post(path, [body] * 1_000)
        spent = time.perf_counter() - began
        if traffic.failed:
            raise RuntimeError(f"{traffic.failed} requests failed")
        count = traffic.answered - 500
        return count / spent, count / (cpu_s(pid) - spent_before_s)


async def main(seconds: float) -> None:
    numbers = {name: float(place) for place, name in enumerate(NUMBERS)}
    row = {"id": "f1", "carrier": "UA", **numbers}
    with tempfile.TemporaryDirectory() as folder:
        home(Path(folder) / "home")
        model = Path(folder) / "model.onnx"
        model.write_bytes(graph())
        gateway = [sys.executable, "-m", "mainspring.edges.gateway", "--home", f"{folder}/home", "--port", "18431"]
        floor = [sys.executable, __file__, "bare", "18432", str(model)]
        processes = [subprocess.Popen(_pinned(command)) for command in (gateway, floor)]
        try:
            await Traffic("127.0.0.1", 18431).wait_until_ready()
            ours, theirs = [], []
            for _ in range(ROUNDS):
                own = json.dumps({**row, "distance": 1.0}).encode()
                bare_row = json.dumps({"rows": [{**row, "temp": 1.0, "flights": 1.0}]}).encode()
                ours.append(await measure(processes[0].pid, 18431, "/predict/late", own, seconds))
                theirs.append(await measure(processes[1].pid, 18432, "/", bare_row, seconds))
            for place, unit in enumerate(("s", "s of processor time")):
                best, bare_best = max(one[place] for one in ours), max(one[place] for one in theirs)
                print(f"gateway {best:.0f}, bare handler {bare_best:.0f} requests a {unit}: {best / bare_best:.2f}")
        finally:
            for process in processes:
                process.terminate()
                process.wait()


def _pinned(command: list[str]) -> list[str]:
    return ["taskset", "-c", "0", *command] if sys.platform == "linux" and (os.cpu_count() or 1) > 1 else command


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        asyncio.run(bare(int(sys.argv[2]), sys.argv[3]))
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
