import os
from pathlib import Path

import polars as pl
import pytest

from mainspring.adapters.sources import readers
from mainspring.features.spec import CsvReader, ParquetReader, SourceSpec
from mainspring.kernel.errors import InvalidInput, NotFound

NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z
ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "at": ["2013-05-03T11:00Z", "2013-05-03T12:00Z", "2013-05-03T13:00Z"],
        "x": [1.5, None, 2.5],
    }
)


@pytest.fixture(params=["csv", "parquet"])
def kind(request):
    return request.param


def source(kind, path):
    reader = {"csv": CsvReader(path), "parquet": ParquetReader(path)}[kind]
    return SourceSpec("sales", reader, time="at", key=("id",), known_after_us=0)


def write(kind, path: Path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "csv":
        rows.write_csv(path, null_value="NA")
    else:
        rows.write_parquet(path)


def read(kind, tmp_path, path, **options):
    return readers()[kind].read(source(kind, path), tmp_path, **options)


def test_all_rows_are_read_with_missing_values(kind, tmp_path):
    write(kind, tmp_path / f"sales.{kind}")
    found = read(kind, tmp_path, f"sales.{kind}").frame
    assert found.select("id", "x").rows() == [(1, 1.5), (2, None), (3, 2.5)]


def test_rows_known_later_are_not_read(kind, tmp_path):
    write(kind, tmp_path / f"sales.{kind}")
    assert read(kind, tmp_path, f"sales.{kind}", known_until_us=NOON_US).frame["id"].to_list() == [1, 2]


def test_a_folder_is_read_whole_and_in_order(kind, tmp_path):
    write(kind, tmp_path / "data" / f"b.{kind}", ROWS[2:])
    write(kind, tmp_path / "data" / f"a.{kind}", ROWS[:2])
    assert read(kind, tmp_path, "data").frame["id"].to_list() == [1, 2, 3]


def test_the_watermark_tells_whether_a_file_changed(kind, tmp_path):
    write(kind, tmp_path / f"sales.{kind}", ROWS[:2])
    first = read(kind, tmp_path, f"sales.{kind}").watermark
    assert read(kind, tmp_path, f"sales.{kind}").watermark == first
    write(kind, tmp_path / f"sales.{kind}")
    assert read(kind, tmp_path, f"sales.{kind}").watermark != first


def test_a_missing_file_is_named_with_its_source(kind, tmp_path):
    with pytest.raises(NotFound, match=r"Source\('sales'\): there is no such file"):
        read(kind, tmp_path, f"sales.{kind}")


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "sales.parquet").write_text("id,at\n1,2013-05-03T11:00Z\n")
    with pytest.raises(InvalidInput, match="cannot be read as parquet"):
        read("parquet", tmp_path, "sales.parquet")


def test_a_column_of_numbers_may_turn_to_text_late(tmp_path):
    lines = ["id,at,x"] + [f"{n},2013-05-03T11:00Z,{n}" for n in range(3_000)] + ["3000,2013-05-03T11:00Z,many"]
    (tmp_path / "sales.csv").write_text("\n".join(lines))
    assert read("csv", tmp_path, "sales.csv").frame["x"][-1] == "many"


def test_what_was_read_of_an_unchanged_file_is_left_out(kind, tmp_path):
    write(kind, tmp_path / f"sales.{kind}")
    mark = read(kind, tmp_path, f"sales.{kind}").watermark
    bounds = {"known_until_us": NOON_US + 3_600_000_000, "known_since_us": NOON_US}
    assert read(kind, tmp_path, f"sales.{kind}", watermark=mark, **bounds).frame["id"].to_list() == [3]
    assert read(kind, tmp_path, f"sales.{kind}", watermark="other", **bounds).frame["id"].to_list() == [1, 2, 3]


def test_a_parquet_file_with_times_of_its_own_is_read_in_part(tmp_path):
    times = ROWS.with_columns(pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC"))
    write("parquet", tmp_path / "sales.parquet", times)
    assert read("parquet", tmp_path, "sales.parquet", known_until_us=NOON_US).frame["id"].to_list() == [1, 2]


@pytest.mark.parametrize("lay", [os.mkfifo, Path.mkdir, lambda place: place.symlink_to("nowhere")])
def test_what_is_no_file_in_a_folder_is_named_and_never_waited_for(kind, tmp_path, lay):
    write(kind, tmp_path / f"sales/a.{kind}")
    lay(tmp_path / f"sales/b.{kind}")
    with pytest.raises(InvalidInput, match="is not a file that can be read"):
        read(kind, tmp_path, "sales")


@pytest.mark.parametrize("lay", [os.mkfifo, lambda place: place.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_the_place_of_the_file_is_refused_and_never_waited_for(kind, tmp_path, lay):
    lay(tmp_path / f"sales.{kind}")
    with pytest.raises(InvalidInput, match="is not a file that can be read"):
        read(kind, tmp_path, f"sales.{kind}")
