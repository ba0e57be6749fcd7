"""A scikit-learn pipeline in a model process, behind the gateway, against FastAPI with the same pipeline.

Run: python bench/model_process.py [seconds [rounds]]. All server processes share one core, wrk has the other. Medians
of interleaved rounds: one connection, where nothing can be batched, and 64, where rows that wait are scored together.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

NUMBERS = [f"x{number}" for number in range(10)]
ROW = {"id": "f1", "carrier": "UA", "dest": "d3", "hour": 7, **{name: 0.1 * n for n, name in enumerate(NUMBERS)}}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
GATEWAY, FASTAPI = 18441, 18442


def fitted() -> Any:
    """Return a pipeline as the flights example has it: text as codes, and a hundred trees."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"carrier": rng.choice(["UA", "DL", "B6"], 5_000), "dest": rng.choice(["d1", "d2"], 5_000)})
    frame["hour"] = rng.integers(0, 24, 5_000)
    for name in NUMBERS:
        frame[name] = rng.normal(size=5_000)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("text", codes, ["carrier", "dest"])], remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    return make_pipeline(columns, trees).fit(frame, (frame["x0"] + rng.normal(size=5_000) > 0).astype(int))


def fastapi(path: str) -> None:
    """Serve the pipeline as a user would: a typed request, a DataFrame of one row."""
    import pickle

    import pandas as pd
    import uvicorn
    from fastapi import FastAPI
    from pydantic import create_model

    estimator = pickle.loads(Path(path).read_bytes())
    fields: dict[str, Any] = dict.fromkeys(NUMBERS, (float, ...))
    row_type = create_model("Row", id=(str, ...), carrier=(str, ...), dest=(str, ...), hour=(int, ...), **fields)
    app = FastAPI()

    async def predict(row: Any) -> dict[str, float]:
        asked = row.model_dump()
        del asked["id"]
        return {"value": float(estimator.predict_proba(pd.DataFrame([asked]))[0, 1])}

    predict.__annotations__["row"] = row_type  # annotations are texts in this file, and the type is a local one
    app.post("/predict/late")(predict)
    uvicorn.run(app, host="127.0.0.1", port=FASTAPI, log_level="error", access_log=False)


def home(root: Path, pickled: bytes) -> None:
    """Make a home whose champion is the pickled pipeline."""
    from mainspring.adapters.blobs.files import FileBlobs
    from mainspring.adapters.disk import LocalDisk
    from mainspring.adapters.home import create_home
    from mainspring.adapters.routing import RoutingFile
    from mainspring.kernel.schema import Column, Signature
    from mainspring.serving.routing import Package, VersionRoute
    from mainspring.testing.models import model_route, routing

    made, disk = create_home(root), LocalDisk()
    numbers = (Column(name, "float") for name in NUMBERS)
    inputs = (Column("carrier", "str"), Column("dest", "str"), Column("hour", "int"), *numbers)
    columns = (Column("id", "str"), *inputs)
    package = Package({"model.pkl": FileBlobs(made.blobs, disk).put(pickled)}, "python")
    version = VersionRoute("ver_1", 1, package, Signature("binary", inputs, columns))
    RoutingFile(made.routing, disk).write(
        routing(1, model_route(version, columns=columns, deadline_ms=5_000), [version])
    )


def cpu_s(parents: list[int]) -> float:
    """Return the processor time of processes and their children: on a busy machine it tells more than the clock."""
    spent = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in parents or int(fields[1]) in parents:
            spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(pids: list[int], port: int, connections: int, seconds: float, script: str) -> tuple[float, float]:
    """Return requests a second, and requests a second of processor time."""
    command = ["wrk", "-t1", "--timeout", "20s", f"-c{connections}", f"-d{seconds:g}s", "-s", script]
    before_s = cpu_s(pids)
    address = f"http://127.0.0.1:{port}/predict/late"
    said = subprocess.run(_pinned([*command, address], 1), check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), count / (cpu_s(pids) - before_s)  # type: ignore[index]


def main(seconds: float, rounds: int) -> None:
    import cloudpickle

    with tempfile.TemporaryDirectory() as folder:
        pickled = Path(folder) / "model.pkl"
        pickled.write_bytes(cloudpickle.dumps(fitted()))
        home(Path(folder) / "home", pickled.read_bytes())
        script = Path(folder) / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = '{json.dumps(ROW)}'\nwrk.headers['content-type'] = 'application/json'\n"
        )
        where = ["--home", f"{folder}/home"]
        commands = [
            [sys.executable, "-m", "mainspring.edges.gateway.models", *where],
            [sys.executable, "-m", "mainspring.edges.gateway", *where, "--port", str(GATEWAY)],
            [sys.executable, __file__, "fastapi", str(pickled)],
        ]
        processes = [subprocess.Popen(_pinned(command, 0), env={**os.environ, **ONE_THREAD}) for command in commands]
        try:
            answers = [_answer(port) for port in (GATEWAY, FASTAPI)]
            if abs(answers[0] - answers[1]) > 1e-9:
                raise RuntimeError(f"they answer differently: {answers}")
            pids = [process.pid for process in processes]
            for connections in (1, 64):
                ours, theirs = [], []
                for _ in range(rounds):
                    ours.append(measure(pids[:2], GATEWAY, connections, seconds, str(script)))
                    theirs.append(measure(pids[2:], FASTAPI, connections, seconds, str(script)))
                for place, unit in enumerate(("second", "second of processor time")):
                    mine, other = (statistics.median(one[place] for one in found) for found in (ours, theirs))
                    ratio = f"{mine / other:.2f}"
                    print(f"{connections} connections: {mine:.0f} against {other:.0f} requests a {unit}: {ratio}")
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def _answer(port: int) -> float:
    import time

    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict/late", json.dumps(ROW).encode(), {"content-type": "application/json"}
    )
    until_s = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request) as response:
                return float(json.load(response)["value"])
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.1)


def _pinned(command: list[str], core: int) -> list[str]:
    alone = sys.platform == "linux" and (os.cpu_count() or 1) > 1
    return ["taskset", "-c", str(core), *command] if alone else command


if __name__ == "__main__":
    if sys.argv[1:2] == ["fastapi"]:
        fastapi(sys.argv[2])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 4.0, int(sys.argv[2]) if sys.argv[2:] else 5)
