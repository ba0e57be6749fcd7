"""The flights of January, pushed as they land: what the gateway looks up is what training would see, to the bit."""

from itertools import pairwise

import polars as pl
import pytest

from mainspring.features.frame import training_frame
from mainspring.features.join import BoundView, as_of_join
from mainspring.features.keys import encode_key
from mainspring.features.spec import Feature, ParquetReader, SourceSpec, ViewSpec
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe

HOUR_US = 3_600_000_000
START_US = 1_357_862_400_000_000  # 2013-01-11T00:00Z
FLIGHTS = SourceSpec(
    "flights", ParquetReader("flights.parquet"), time="sched_dep", key=("flight_id",), known_at="landed_at"
)
WEATHER = SourceSpec(
    "weather",
    ParquetReader("weather.parquet"),
    time="observed_at",
    key=("origin", "observed_at"),
    known_after_us=HOUR_US // 2,
)
LATE = ViewSpec(
    "late",
    "flights",
    ("origin", "carrier"),
    (
        Feature("share", "share", condition="arr_delay > 15", over_us=3 * HOUR_US),
        Feature("landed", "count", over_us=3 * HOUR_US),
        Feature("delay", "mean", column="arr_delay", over_us=6 * HOUR_US),
        Feature("due", "count", over_us=6 * HOUR_US, by="time"),
        Feature("last_dest", "last", column="dest"),
    ),
)
SKY = ViewSpec(
    "sky",
    "weather",
    ("origin",),
    (
        Feature("temp", "last", column="temp"),
        Feature("wind", "last", column="wind_speed"),
        Feature("mean_temp", "mean", column="temp", over_us=12 * HOUR_US),
        Feature("rain", "mean", column="precip", over_us=12 * HOUR_US),
    ),
    ttl_us=6 * HOUR_US,
)


@pytest.fixture
def applied(bench, flights, weather):
    flights.write_parquet(bench.root / "flights.parquet")
    weather.write_parquet(bench.root / "weather.parquet")
    digests = {}
    for spec, view in ((FLIGHTS, LATE), (WEATHER, SKY)):
        found = bench.features.inspect(spec, bench.root)
        rooted = ParquetReader(str(bench.root / spec.reader.path))
        stored = SourceSpec(spec.name, rooted, spec.time, spec.key, spec.known_at, spec.known_after_us, found.columns)
        digests |= bench.declare(stored, view)
    return digests


def known(rows, spec, after_us, until_us):
    moment = pl.col(spec.known_at) if spec.known_at else pl.col(spec.time) + pl.duration(minutes=30)
    us = moment.dt.epoch("us")
    return rows.with_columns(us.alias("_known_us")).filter((us > after_us) & (us <= until_us))


def test_online_is_offline_to_the_bit_while_flights_land_and_while_nothing_does(bench, applied, flights, weather):
    bench.features.feed(bench.features.ingest("prj_1", START_US))
    turns = [START_US + hours * HOUR_US for hours in range(0, 73, 3)]
    asked = flights.with_columns((pl.col("sched_dep").dt.epoch("us") - 2 * HOUR_US).alias("at"))
    compared = 0
    for since, now in pairwise(turns):
        for spec, rows in ((FLIGHTS, flights), (WEATHER, weather)):
            new = known(rows, spec, since, now)
            bench.push(spec.name, new)
            bench.features.feed({f"src_{spec.name}": new})
        mine = asked.filter((pl.col("at") > since) & (pl.col("at") <= now)).select("origin", "carrier", "at")
        quiet = mine.select("origin", "carrier").unique().sort(pl.all()).head(12)
        later = pl.concat([quiet.with_columns(at=pl.lit(now + hours * HOUR_US)) for hours in (0, 1, 2, 5, 9, 20)])
        compared += _compare(bench, applied, pl.concat([mine, later]), flights, weather, now)
    assert compared > 3_500


def _compare(bench, digests, asked, flights, weather, now_us):
    """Compare each value looked up with the one joined from the rows that were known by then."""
    views = [
        BoundView(LATE, FLIGHTS, known(flights, FLIGHTS, 0, now_us)),
        BoundView(SKY, WEATHER, known(weather, WEATHER, 0, now_us)),
    ]
    offline = as_of_join(asked, "at", views)
    for row in offline.iter_rows(named=True):
        for view in (LATE, SKY):
            found = bench.latest.get(digests[view.name], [encode_key([row[name] for name in view.key])], row["at"])[0]
            expected = tuple(row[f"{view.name}.{feature.name}"] for feature in view.features)
            assert found.values == expected
            assert found.known_us == row[f"{view.name}.known_at_us"]
    return offline.height


def test_rows_known_later_are_not_ingested_and_those_ingested_are_not_read_again(bench, applied, flights):
    first = bench.features.ingest("prj_1", START_US)
    known_by_then = flights.filter(pl.col("landed_at").dt.epoch("us") <= START_US).height
    assert first["src_flights"].height == known_by_then
    assert bench.features.ingest("prj_1", START_US) == {}
    second = bench.features.ingest("prj_1", START_US + 24 * HOUR_US)
    assert second["src_flights"]["_known_us"].min() > START_US
    stored = bench.log.source("src_flights")
    assert stored.height == stored["flight_id"].n_unique()


def test_rows_that_were_pushed_are_not_stored_again_from_the_file(bench, applied, flights):
    bench.features.ingest("prj_1", START_US)
    bench.push("flights", known(flights, FLIGHTS, START_US, START_US + 6 * HOUR_US))
    again = bench.features.ingest("prj_1", START_US + 12 * HOUR_US)["src_flights"]
    assert again["_known_us"].min() > START_US + 6 * HOUR_US


def test_views_that_missed_rows_are_brought_up_to_the_store(bench, applied, flights):
    bench.features.feed(bench.features.ingest("prj_1", START_US))
    assert bench.features.catch_up() == []
    bench.push("flights", known(flights, FLIGHTS, START_US, START_US + 6 * HOUR_US))
    bench.reopen()
    assert bench.features.catch_up() == [applied["late"]]
    assert bench.features.catch_up() == []
    whole = as_of_join(
        pl.DataFrame({"origin": ["JFK"], "carrier": ["B6"], "at": [START_US + 6 * HOUR_US]}),
        "at",
        [BoundView(LATE, FLIGHTS, known(flights, FLIGHTS, 0, START_US + 6 * HOUR_US))],
    )
    found = bench.latest.get(applied["late"], [encode_key(["JFK", "B6"])], START_US + 6 * HOUR_US)[0]
    assert found.values == tuple(whole.select([f"late.{feature.name}" for feature in LATE.features]).row(0))
    assert found.values[1] > 10


MODEL = ModelSpec(
    name="late",
    task="binary",
    entity="flight_id",
    source="flights",
    predict_at=PredictAt("sched_dep", -2 * HOUR_US),
    outcome=OutcomeSpec("arr_delay > 15", "flights", matures_after_us=36 * HOUR_US),
    recipes=(Recipe("default", "project:train", features=("sky", "late")),),
    keys=("origin", "carrier"),
    inputs=("dest", "distance"),
)


def test_a_training_frame_holds_what_was_known_when_it_would_have_been_asked(bench, applied, flights):
    bench.features.ingest("prj_1", START_US + 240 * HOUR_US)
    spec = bench.features.frame(MODEL, MODEL.recipes[0], "prj_1", until_us=START_US)
    frame = training_frame(spec)
    assert frame.columns[:8] == ["entity", "at_us", "known_us", "label", "origin", "carrier", "dest", "distance"]
    assert frame.columns[8:] == [
        *("sky.temp", "sky.wind", "sky.mean_temp", "sky.rain"),
        *("late.share", "late.landed", "late.delay", "late.due", "late.last_dest"),
    ]
    labelled = flights.filter(pl.col("arr_delay").is_not_null(), pl.col("landed_at").dt.epoch("us") <= START_US)
    assert frame.height == labelled.height
    assert frame["known_us"].max() <= START_US
    truth = labelled.select(entity="flight_id", late=pl.col("arr_delay") > 15)
    assert frame.join(truth, on="entity").filter(pl.col("label") != pl.col("late")).is_empty()
    one = frame[4_000]
    view = BoundView(LATE, FLIGHTS, known(flights, FLIGHTS, 0, one["at_us"][0]))
    assert (
        as_of_join(one.select("origin", "carrier", "at_us"), "at_us", [view])["late.share"][0] == one["late.share"][0]
    )


def test_the_key_of_a_frame_changes_with_its_rows_and_not_with_time_alone(bench, applied):
    def key(until_us, since_us=None):
        return bench.features.frame(MODEL, MODEL.recipes[0], "prj_1", until_us=until_us, since_us=since_us).key()

    bench.features.ingest("prj_1", START_US)
    first = key(START_US + HOUR_US)
    assert key(START_US + 9 * HOUR_US) == first
    assert key(START_US - 9 * HOUR_US) != first
    assert key(START_US + HOUR_US, START_US) != first
    bench.features.ingest("prj_1", START_US + 9 * HOUR_US)
    assert key(START_US + 9 * HOUR_US) != first
