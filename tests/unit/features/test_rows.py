from datetime import UTC, datetime

import polars as pl
import pytest

from mainspring.features.rows import KNOWN, TIME, newest, timed
from mainspring.features.spec import PushReader, SourceSpec
from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column

LANDINGS = SourceSpec("landings", PushReader(), time="due", key=("id",), known_at="landed")
NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z


def test_known_at_is_a_column_or_the_time_and_a_delay():
    rows = pl.DataFrame({"id": [1], "due": ["2013-05-03T12:00Z"], "landed": ["2013-05-03T14:00+02:00"]})
    assert timed(LANDINGS, rows).select(TIME, KNOWN).row(0) == (NOON_US, NOON_US)
    delayed = SourceSpec("landings", PushReader(), time="due", key=("id",), known_after_us=60_000_000)
    assert timed(delayed, rows).select(TIME, KNOWN).row(0) == (NOON_US, NOON_US + 60_000_000)


def test_a_row_that_never_became_known_is_left_out():
    rows = pl.DataFrame({"id": [1, 2], "due": ["2013-05-03T12:00Z"] * 2, "landed": [None, "2013-05-03T12:00Z"]})
    assert timed(LANDINGS, rows)["id"].to_list() == [2]


@pytest.mark.parametrize(
    ("landed", "what"),
    [
        (["2013-05-03T12:00"], "without a zone"),
        ([datetime(2013, 5, 3, 12, tzinfo=UTC).replace(tzinfo=None)], "without a zone"),
        (["yesterdayZ"], "not an ISO 8601 time"),
        ([12], "is not a time"),
    ],
)
def test_what_is_no_time_is_refused_with_the_column(landed, what):
    rows = pl.DataFrame({"id": [1], "due": ["2013-05-03T12:00Z"], "landed": landed})
    with pytest.raises(InvalidInput, match=what) as error:
        timed(LANDINGS, rows)
    assert error.value.field == "landed"


def test_nan_is_a_missing_value():
    spec = SourceSpec("s", PushReader(), time="at", key=("id",), known_after_us=0)
    rows = pl.DataFrame({"id": [1], "at": ["2013-05-03T12:00Z"], "x": [float("nan")]})
    assert timed(spec, rows)["x"].to_list() == [None]


def test_declared_kinds_are_kept_where_values_look_otherwise():
    columns = (Column("id", "str"), Column("at", "time"), Column("x", "float", nullable=True))
    spec = SourceSpec("s", PushReader(), time="at", key=("id",), known_after_us=0, columns=columns)
    rows = pl.DataFrame({"x": [1], "at": ["2013-05-03T12:00Z"], "id": [7]})
    assert timed(spec, rows).select("id", "x").row(0) == ("7", 1.0)


def test_a_value_of_another_kind_is_refused():
    columns = (Column("id", "int"), Column("at", "time"))
    spec = SourceSpec("s", PushReader(), time="at", key=("id",), known_after_us=0, columns=columns)
    with pytest.raises(InvalidInput, match="id: holds values that are not of kind int"):
        timed(spec, pl.DataFrame({"id": ["x"], "at": ["2013-05-03T12:00Z"]}))


def test_the_newest_revision_known_by_then_counts():
    rows = pl.DataFrame(
        {
            "id": [1, 1, 2],
            "due": ["2013-05-03T10:00Z"] * 3,
            "landed": ["2013-05-03T12:00Z", "2013-05-03T13:00Z", "2013-05-03T12:00Z"],
            "x": [1, 2, 3],
        }
    )
    known = timed(LANDINGS, rows)
    assert newest(LANDINGS, known, NOON_US)["x"].to_list() == [1, 3]
    assert sorted(newest(LANDINGS, known)["x"].to_list()) == [2, 3]
