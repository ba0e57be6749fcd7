"""What the log keeps of a request is enough to answer it again to the byte, whatever protocol it came by."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest

from mainspring.adapters.runtimes.package import load_onnx
from mainspring.log.records import Request, Scored
from mainspring.log.rows import rows_of
from mainspring.serving.replay import Logged, replay

ROWS = [
    {"id": f"f{place}", "distance": 100.0 / (place + 3), "hour": place, "night": True, "wind": None, "carrier": "UA",
     "sched": "2013-05-03T12:00Z"}
    for place in range(3)
]  # fmt: skip
NAMES = list(ROWS[0])
KINDS = {"float": "FP64", "int": "INT64", "bool": "BOOL", "str": "BYTES"}


def arrow_body() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(ROWS).drop("wind").with_columns(pl.col("distance").cast(pl.Float32)).write_ipc_stream(buffer)
    return buffer.getvalue()


def tensors() -> bytes:
    inputs = [
        {"name": name, "shape": [3], "datatype": KINDS[type(ROWS[0][name]).__name__],
         "data": [row[name] for row in ROWS]}
        for name in NAMES if name != "wind"
    ]  # fmt: skip
    return json.dumps({"inputs": inputs}).encode()


ASKED = {
    "native": ("/predict/late", json.dumps(ROWS).encode(), "application/json"),
    "arrow": ("/predict/late", arrow_body(), "application/vnd.apache.arrow.stream"),
    "oip": ("/v2/models/late/infer", tensors(), "application/json"),
    "tf rows": ("/v1/models/late:predict", json.dumps({"instances": ROWS}).encode(), "application/json"),
    "mlflow": (
        "/invocations",
        json.dumps({"dataframe_split": {"columns": NAMES, "data": [list(row.values()) for row in ROWS]}}).encode(),
        "application/json",
    ),
    "csv": (
        "/invocations",
        b"".join(f"f{place},{100.0 / (place + 3)!r},{place},true,,UA,\n".encode() for place in range(3)),
        "text/csv",
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_logged_request_is_answered_again_to_the_byte(served: Any, case: str) -> None:
    path, body, kind = ASKED[case]
    status, said, headers = served.ask(path, body, content_type=kind)
    assert status == 200
    id = headers.get("x-mainspring-prediction-id") or (said["id"] if case == "native" else said["parameters"])
    id = id["prediction_id"] if isinstance(id, dict) else id
    served.wait(lambda: any(one.prediction_id == id for one in served.records(Scored)))
    scored = next(one for one in served.records(Scored) if one.prediction_id == id)
    request = next(one for one in served.records(Request) if one.prediction_id == id)
    route = served.file.read()
    version = route.version(scored.version)
    bodies = rows_of([request]).frames["requests"]["body"].to_list()
    logged = [
        Logged(request.prediction_id, row, body.encode(), b"", output)
        for row, (body, output) in enumerate(zip(bodies, scored.outputs, strict=True))
    ]
    runtime = load_onnx(version, served.blobs.get)
    found = replay(
        logged, version.id, version.signature, route.models[0].columns, (),
        lambda rows: [runtime.run([row])[0] for row in rows],
    )  # fmt: skip
    assert [one.equal for one in found] == [True, True, True]
    assert [one.again for one in found] == list(scored.outputs)
    assert len(set(scored.outputs)) == 3
