"""How many rows a day a source's file holds."""

import os
from datetime import UTC, datetime

import polars as pl
import pytest

from mainspring.features.spec import CsvReader, ParquetReader, PushReader, SourceSpec
from mainspring.project.traffic import rows_per_day


def source(reader):
    return SourceSpec("trips", reader, "start", ("trip",), known_after_us=0)


@pytest.fixture
def folder(tmp_path):
    starts = pl.datetime_range(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC), "6h", eager=True)
    frame = pl.DataFrame({"trip": range(starts.len()), "start": starts})
    frame.write_parquet(tmp_path / "trips.parquet")
    frame.with_columns(pl.col("start").dt.to_string("iso:strict")).write_csv(tmp_path / "trips.csv")
    return tmp_path


@pytest.mark.parametrize("reader", [ParquetReader("trips.parquet"), CsvReader("trips.csv")])
def test_forty_one_rows_in_ten_days_are_four_a_day(folder, reader):
    assert rows_per_day(source(reader), folder) == pytest.approx(4.1)


@pytest.mark.parametrize("reader", [ParquetReader("nothing.parquet"), CsvReader("nothing.csv"), PushReader()])
def test_a_source_without_a_file_tells_nothing(folder, reader):
    assert rows_per_day(source(reader), folder) is None


def test_a_file_of_a_single_day_tells_nothing(tmp_path):
    (tmp_path / "trips.csv").write_text("trip,start\na,2026-01-01T00:00Z\nb,2026-01-01T05:00Z\n")
    assert rows_per_day(source(CsvReader("trips.csv")), tmp_path) is None


@pytest.mark.parametrize("where", ["trips", "trips/one"])
@pytest.mark.parametrize(("reader", "ending"), [(ParquetReader, "parquet"), (CsvReader, "csv")])
def test_a_pipe_is_not_waited_for(tmp_path, reader, ending, where):
    """Opening one for reading waits for somebody who writes: ``apply`` hung on it."""
    pipe = tmp_path / f"{where}.{ending}"
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    asked = f"trips.{ending}" if where == "trips" else "trips"
    assert rows_per_day(source(reader(asked)), tmp_path) is None


@pytest.mark.parametrize(("reader", "ending"), [(ParquetReader, "parquet"), (CsvReader, "csv")])
def test_a_folder_of_files_is_told_of_as_one(folder, reader, ending):
    (folder / "all").mkdir()
    (folder / f"trips.{ending}").rename(folder / "all" / f"a.{ending}")
    assert rows_per_day(source(reader("all")), folder) == pytest.approx(4.1)
