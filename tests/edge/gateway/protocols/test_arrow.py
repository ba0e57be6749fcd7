"""Arrow streams, written and read by pyarrow and by Polars."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pytest

from mainspring.log.records import Request, Scored
from mainspring.log.rows import rows_of

KIND = "application/vnd.apache.arrow.stream"
NOON = datetime(2013, 5, 3, 12, tzinfo=UTC)
FRAME = pl.DataFrame(
    {
        "id": ["f1", "f2"], "distance": [100.0, -100.0], "hour": [10, 0], "night": [True, False], "wind": [None, 3.5],
        "carrier": ["UA", None], "sched": [NOON, None],
    }
)  # fmt: skip
EXPECTED = [0.8807971, 0.2689414]


def by_polars(frame: pl.DataFrame, compat: Any = None) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compat_level=compat)
    return buffer.getvalue()


def by_pyarrow(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=1)
    return buffer.getvalue()


def ask(served: Any, body: bytes, path: str = "/predict/late", **headers: str) -> tuple[int, bytes, Any]:
    named = {"content-type": KIND, **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", body, named)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@pytest.mark.parametrize(
    "body",
    [
        by_polars(FRAME),
        by_polars(FRAME, pl.CompatLevel.oldest()),
        by_polars(FRAME, pl.CompatLevel.newest()),
        by_polars(FRAME.with_columns(pl.col("carrier", "id").cast(pl.Categorical))),
        by_polars(FRAME.with_columns(pl.col("distance", "wind").cast(pl.Float32), pl.col("hour").cast(pl.UInt8))),
        by_polars(FRAME.with_columns(pl.col("distance").cast(pl.Int64), wind=pl.Series([float("nan"), 3.5]))),
        by_polars(FRAME.with_columns(sched=pl.Series(["2013-05-03T14:00+02:00", None]))),
        by_polars(FRAME.drop("wind", "sched").select(pl.all().reverse()).reverse()),
        by_polars(FRAME.with_columns(wind=None, carrier=None)),
        by_pyarrow(FRAME.to_arrow()),
        by_pyarrow(FRAME.with_columns(pl.col("sched").dt.cast_time_unit("ns")).to_arrow()),
    ],
)
@pytest.mark.parametrize("path", ["/predict/late", "/invocations"])
def test_columns_are_answered_by_columns(served: Any, body: bytes, path: str) -> None:
    status, said, headers = ask(served, body, path)
    assert (status, headers["content-type"], headers["x-mainspring-version"]) == (200, KIND, "1")
    table = pa.ipc.open_stream(said).read_all()
    assert table.column("value").to_pylist() == pytest.approx(EXPECTED, abs=1e-6)
    assert table.column("version").to_pylist() == [1, 1]
    assert table.column("decision").to_pylist() == [True, False]
    assert pl.read_ipc_stream(said)["value"].to_list() == table.column("value").to_pylist()


def test_a_version_without_a_threshold_decides_nothing_and_json_may_be_accepted(served: Any) -> None:
    _, said, headers = ask(served, by_polars(FRAME), "/predict/late?version=2")
    assert pl.read_ipc_stream(said).columns == ["value", "version"]
    assert headers["x-mainspring-version"] == "2"
    status, said, _ = ask(served, by_polars(FRAME), "/invocations", accept="application/json")
    assert status == 200
    assert [one["decision"] for one in msgspec.json.decode(said)["predictions"]] == [True, False]


def test_rows_of_a_stream_are_logged_as_it_came_and_cut_into_objects(served: Any) -> None:
    body = by_polars(FRAME)
    _, _, headers = ask(served, body)
    id = headers["x-mainspring-prediction-id"]
    served.wait(lambda: any(one.prediction_id == id for one in served.records(Scored)))
    logged = next(one for one in served.records(Request) if one.prediction_id == id)
    assert logged.body == body
    assert logged.entities == ("f1", "f2")
    cut = rows_of([logged]).frames["requests"]
    assert [msgspec.json.decode(text) for text in cut["body"]] == [
        {"id": "f1", "distance": 100.0, "hour": 10, "night": True, "wind": None, "carrier": "UA",
         "sched": "2013-05-03T12:00:00+00:00"},
        {"id": "f2", "distance": -100.0, "hour": 0, "night": False, "wind": 3.5, "carrier": None, "sched": None},
    ]  # fmt: skip


def changed(**columns: Any) -> bytes:
    return by_polars(FRAME.with_columns(**columns))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "body: is damaged"),
        (b"ARROW1\0\0", 400, "body: is not an Arrow IPC stream, or breaks off"),
        (by_polars(FRAME)[:-60], 400, "body: breaks off"),
        (b"\xff\xff\xff\xff" + b"\xff" * 12, 400, "body: is not an Arrow IPC stream, or breaks off"),
        (by_polars(FRAME.clear()), 400, "body: the list is empty"),
        (by_polars(pl.concat([FRAME] * 101)), 413, "body: has too many rows (got 202)"),
        (by_pyarrow(FRAME.to_arrow(), compression="zstd"), 400, "body: is compressed"),
        (by_polars(FRAME.drop("hour")), 400, "hour: is missing; send every column"),
        (by_polars(FRAME.rename({"hour": "hours"})), 400, "hours: is not a column here; did you mean 'hour'?"),
        (changed(hour=pl.Series([1.5, 2.0])), 400, "hour: is of a type that does not fit (got 'float')"),
        (changed(hour=pl.Series([1, None])), 400, "[1].hour: must be a whole number (got 'null')"),
        (changed(hour=pl.Series([1, 2**63], dtype=pl.UInt64)), 400, "[1].hour: does not fit in 64 bits"),
        (changed(distance=pl.Series([1.0, float("nan")])), 400, "[1].distance: must be a number (got 'null')"),
        (changed(wind=pl.Series([1.0, float("inf")])), 400, "[1].wind: is not a finite number (got inf)"),
        (changed(distance=None), 400, "[0].distance: must be a number (got 'null')"),
        (changed(id=pl.Series(["f1", None])), 400, "[1].id: must be text (got 'null')"),
        (changed(sched=pl.Series(["noon", None])), 400, "[0].sched: is not an ISO 8601 time"),
        (changed(sched=pl.Series([NOON, None]).dt.replace_time_zone(None)), 400, "sched: is a time without a zone"),
        (changed(carrier=pl.Series([["UA"], []])), 400, "carrier: is of a type that is not taken"),
        (changed(carrier=pl.Series([b"UA", b""])), 400, "carrier: is of a type that is not taken"),
    ],
)  # fmt: skip
def test_a_stream_that_does_not_fit_is_refused(served: Any, body: bytes, status: int, message: str | None) -> None:
    answered, said, _ = ask(served, body)
    assert answered == status
    assert message is None or msgspec.json.decode(said)["message"].startswith(message)
