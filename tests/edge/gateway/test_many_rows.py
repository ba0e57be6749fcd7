"""Rows that are asked together, as a list or as an Arrow stream, are answered and logged as each is alone."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import polars as pl

from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column
from mainspring.log.records import Record
from mainspring.log.rows import rows_of
from mainspring.serving.routing import HoldoutRoute, ReleaseRoute, ShadowRoute, ViewRoute
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing, rule_version

ARROW = "application/vnd.apache.arrow.stream"
WEATHER = SourceSpec(
    "weather", PushReader(), "at", ("carrier",), known_after_us=0,
    columns=(Column("carrier", "str"), Column("at", "time"), Column("temp", "float", True)),
)  # fmt: skip
SKY = ViewSpec("sky", "weather", ("carrier",), (Feature("temp", "last", "temp"),), 10 * 3_600_000_000)
PICKY = (
    "def answer(frame, params):\n"
    "    if (frame['distance'] < 0).any():\n"
    "        raise ValueError('negative')\n"
    "    return [0.5] * len(frame)\n"
)
COUNT = 40
ROWS = [
    {
        "id": f"f{number}",
        "distance": -1.0 if number % 7 == 3 else 10.0 * number,
        "carrier": ("UA", "DL", "B6")[number % 3],
    }
    for number in range(COUNT)
]


def serve(site: Any) -> None:
    """Serve a champion with a feature, a challenger that fails on some rows, a hold-out, and a shadow."""
    now_us, digest = time.time_ns() // 1_000, SKY.digest(WEATHER)
    moments = pl.Series([now_us - 3_600_000_000] * 3, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    known = pl.DataFrame({"carrier": ["UA", "DL", "B6"], "at": moments, "temp": [1.0, -2.5, 0.25]})
    LmdbLatest(site.home.latest).put(digest, SKY, WEATHER, known)
    inputs = (Column("distance", "float"), Column("temp", "float", True))
    champion = onnx_version(
        site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01, "temp": 0.5}), inputs,
        views=(digest,), features={"temp": "sky.temp"}, threshold=0.6,
    )  # fmt: skip
    shadow = onnx_version(site.blobs, "ver_3", 3, linear_onnx({"distance": -0.01}), inputs[:1])
    challenger = rule_version(site.blobs, "ver_2", 2, PICKY, inputs[:1])
    route = model_route(
        champion,
        release=ReleaseRoute("rel_1", 1, "s", "ver_2", 0.5),
        holdout=HoldoutRoute(0.2, "for good"),
        shadows=(ShadowRoute("ver_3", "rel_1"),),
        subject="carrier",
    )
    views = (ViewRoute(digest, "prj_1", SKY, "src_1"),)
    site.publish(routing(1, route, [champion, challenger, shadow], views=views))
    site.models()
    site.gateway()
    site.ready()


def as_stream(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(buffer)
    return buffer.getvalue()


def logged(records: list[Record]) -> dict[str, pl.DataFrame]:
    """Return what is logged of each entity, without what differs from call to call."""
    frames = rows_of(records).frames
    requests = frames["requests"].with_columns(
        pl.col("body").map_elements(lambda body: json.dumps(json.loads(body), sort_keys=True), pl.String)
    )
    entity = requests.select("prediction_id", "row", "entity")
    chance = ("prediction_id", "row", "decision_us", "receipt_us", "latency_us")
    return {
        table: frame.join(entity, on=["prediction_id", "row"], how="left")
        .select(pl.exclude(*chance))
        .sort("entity", *(name for name in ("role", "status") if name in frame.columns))
        for table, frame in {**frames, "requests": requests.drop("entity")}.items()
    }


def test_rows_that_are_asked_together_are_answered_and_logged_as_each_is_alone(site: Any) -> None:
    serve(site)
    alone = [site.predict(row)[1] for row in ROWS]
    _, listed = site.predict(ROWS)
    _, streamed, _ = site.ask("/invocations", as_stream(ROWS), content_type=ARROW, accept="application/json")
    expected = [{name: value for name, value in said.items() if name != "id"} for said in alone]
    assert {said["version"] for said in expected} == {1, 2}
    assert listed["predictions"] == expected
    values = [said["value"] if isinstance(said, dict) else said for said in streamed["predictions"]]
    assert values == [said["value"] for said in expected]

    # of each row: a request, a draw, the answer, the shadow's answer; and the challenger's failures
    site.wait(lambda: site.ask("/drained")[1]["done"] == 3 * COUNT)
    by_call: dict[str, list[Record]] = {}

    def complete() -> bool:
        by_call.clear()
        for record in site.records():
            by_call.setdefault(record.prediction_id, []).append(record)
        return all({r.role for r in records if hasattr(r, "role")} >= {"shadow"} for records in by_call.values())

    site.wait(complete)
    calls = list(by_call.values())
    each = logged([record for records in calls[:COUNT] for record in records])
    assert len(calls) == COUNT + 2
    assert set(each["scored"]["role"]) == {"served", "fallback", "shadow"}
    assert set(each["assignments"]["release"]) == {"rel_1", "holdout"}
    assert each["requests"]["subject"].to_list() == each["requests"]["entity"].replace_strict(
        {row["id"]: row["carrier"] for row in ROWS}
    ).to_list()  # fmt: skip
    for together in calls[COUNT:]:
        found = logged(together)
        assert found.keys() == each.keys()
        for table, frame in each.items():
            assert found[table].equals(frame), table
