"""A source that cannot be read keeps no other from being read, and a view that missed rows is made whole."""

import polars as pl

from mainspring.features.keys import encode_key
from mainspring.features.spec import CsvReader, Feature, SourceSpec, ViewSpec
from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Column

NOON_US = 1_367_582_400_000_000
COLUMNS = (Column("id", "int"), Column("shop", "str"), Column("at", "time"))


def write(path, *ids):
    rows = {"id": list(ids), "shop": ["s"] * len(ids), "at": [f"2013-05-03T11:{number:02}Z" for number in ids]}
    pl.DataFrame(rows).write_csv(path)


def source(bench, name):
    return SourceSpec(
        name, CsvReader(str(bench.root / f"{name}.csv")), time="at", key=("id",), known_after_us=0, columns=COLUMNS
    )


def view(name):
    return ViewSpec(name, name, ("shop",), (Feature("n", "count", over_us=3_600_000_000),))


def counted(bench, digest):
    return bench.latest.get(digest, [encode_key(["s"])], NOON_US)[0].values[0]


def test_a_source_that_is_gone_is_told_and_the_others_are_read(bench):
    gone, sales = source(bench, "gone"), source(bench, "sales")
    bench.declare(gone, view("gone"))
    digest = bench.declare(sales, view("sales"))["sales"]
    bench.features.catch_up()
    write(bench.root / "sales.csv", 1, 2, 3)
    told: list[MainspringError] = []
    bench.features.feed(bench.features.ingest("prj_1", NOON_US, on_fault=told.append))
    assert [fault.code for fault in told] == ["not_found"]
    assert counted(bench, digest) == 3


def test_rows_that_were_stored_and_never_fed_come_with_the_next_ones(bench):
    digest = bench.declare(source(bench, "sales"), view("sales"))["sales"]
    bench.features.catch_up()
    write(bench.root / "sales.csv", 1, 2, 3)
    bench.features.ingest("prj_1", NOON_US)  # and whoever asked for it fails before it feeds them
    write(bench.root / "sales.csv", 1, 2, 3, 4)
    bench.features.feed(bench.features.ingest("prj_1", NOON_US))
    assert counted(bench, digest) == 4
    assert bench.features.catch_up() == []
