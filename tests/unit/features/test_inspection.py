import polars as pl
import pytest

from mainspring.features.inspection import inspected
from mainspring.features.spec import CsvReader, PushReader, SourceSpec, SqlReader
from mainspring.kernel.errors import InvalidProject
from mainspring.kernel.schema import Column

ROWS = pl.DataFrame(
    {
        "id": [1, 2],
        "at": ["2013-05-03T11:00Z", "2013-05-03T12:00Z"],
        "told": ["2013-05-03T11:00Z", None],
        "x": [1, None],
        "what": ["tea", "rum"],
    }
)


def source(**changed):
    declared = {"name": "sales", "reader": CsvReader("sales.csv"), "time": "at", "key": ("id",), "known_at": "told"}
    return SourceSpec(**(declared | changed))


def faults(spec, rows=ROWS):
    with pytest.raises(InvalidProject) as error:
        inspected(spec, rows)
    return [fault.sentence() for fault in error.value.faults]


def test_columns_are_found_with_their_kinds():
    assert inspected(source(), ROWS).columns == (
        Column("id", "int"),
        Column("at", "time"),
        Column("told", "time", nullable=True),
        Column("x", "int", nullable=True),
        Column("what", "str"),
    )


def test_all_missing_columns_are_told_at_once_with_the_nearest_word():
    assert faults(source(time="att", key=("idd", "what"), known_at="toldd")) == [
        "Source('sales').time: is not a column (got 'att'); did you mean 'at'?",
        "Source('sales').known_at: is not a column (got 'toldd'); did you mean 'told'?",
        "Source('sales').key: is not a column (got 'idd'); did you mean 'id'?",
    ]


def test_times_without_a_zone_are_refused():
    (fault,) = faults(source(), ROWS.with_columns(at=pl.lit("2013-05-03T11:00")))
    assert fault.startswith("Source('sales').at: holds times without a zone (got '2013-05-03T11:00'); append Z for UTC")


def test_a_key_that_does_not_tell_rows_apart_is_refused_with_an_example():
    (fault,) = faults(source(key=("what",), known_at="at"), pl.concat([ROWS, ROWS[:1]]))
    assert fault.startswith("Source('sales').key: does not tell rows apart")
    assert "(got {'what': 'tea'})" in fault


def test_a_revision_is_no_repeated_key():
    revised = ROWS.with_columns(id=pl.lit(1), told=pl.col("at"))
    assert inspected(source(), revised).columns[0] == Column("id", "int")


def test_rows_without_key_or_time_are_refused():
    assert faults(source(key=("x",), known_at="at")) == [
        "Source('sales').key: is missing in some rows (got 'x'); leave rows without a key out"
    ]
    (fault,) = faults(source(), ROWS.with_columns(at=pl.lit(None, pl.String)))
    assert fault.startswith("Source('sales').time: is missing in some rows")


def test_a_type_that_no_column_may_have_is_named():
    (fault,) = faults(source(), ROWS.with_columns(x=pl.lit([1, 2])))
    assert fault.startswith("Source('sales').x: is of a type that is not supported (List(Int")


def test_a_pushed_source_must_name_its_columns():
    (fault,) = faults(source(reader=PushReader()), None)
    assert fault.startswith("Source('sales').columns: a pushed source needs its columns; name them")
    columns = (Column("id", "int"), Column("at", "time"), Column("told", "time"))
    assert inspected(source(reader=PushReader(), columns=columns), None).columns == columns


def test_a_source_must_say_when_it_is_known_and_what_its_key_is():
    assert faults(source(known_at=None, key=()), ROWS) == [
        "Source('sales').key: needs a key; name the columns that identify a row",
        "Source('sales'): does not say when its rows are known; give known_at or known_after",
    ]


def test_a_password_written_out_is_refused():
    (fault,) = faults(source(reader=SqlReader("postgresql://me:hush@host/db", "select 1", "at")), None)
    assert fault.startswith("Source('sales').url: holds a password, and what is declared is stored")
    assert "hush" not in fault
    inspected(source(reader=SqlReader("postgresql://me:${SECRET}@host/db", "select 1", "at")), None)
