import polars as pl
import pytest

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.errors import InvalidInput

HOUR_US = 3_600_000_000
NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z
SALES = SourceSpec("sales", PushReader(), time="sold", key=("id",), known_at="told")


def sales(*rows):
    names = ("id", "shop", "sold", "told", "price")
    frame = pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    hours = [
        (pl.from_epoch(NOON_US + pl.col(n) * HOUR_US, "us").dt.replace_time_zone("UTC")).alias(n) for n in names[2:4]
    ]
    return frame.with_columns(hours)


def seen(view, rows, *moments, shop="a"):
    asked = pl.DataFrame({"shop": [shop] * len(moments), "at": [NOON_US + int(hour * HOUR_US) for hour in moments]})
    found = as_of_join(asked, "at", [BoundView(view, SALES, rows)])
    return found.select(pl.col("^v\\..*$").exclude("v.known_at_us")).to_series().to_list()


def view(*features, ttl_us=None):
    return ViewSpec("v", "sales", ("shop",), tuple(features), ttl_us)


COUNT = Feature("n", "count", over_us=3 * HOUR_US)
MEAN = Feature("m", "mean", column="price", over_us=3 * HOUR_US)
SHARE = Feature("s", "share", condition="price > 2", over_us=3 * HOUR_US)
LAST = Feature("l", "last", column="price")


def test_a_row_counts_from_when_it_is_known_until_it_leaves_the_window():
    rows = sales((1, "a", 0, 1, 5.0))
    assert seen(view(COUNT), rows, 0.99, 1, 3.99, 4) == [0, 1, 1, 0]


def test_a_window_by_event_time_is_left_by_event_time():
    by_time = Feature("n", "count", over_us=3 * HOUR_US, by="time")
    assert seen(view(by_time), sales((1, "a", 0, 1, 5.0)), 0.99, 1, 2.99, 3) == [0, 1, 1, 0]


def test_a_row_known_only_after_its_window_never_counts():
    by_time = Feature("n", "count", over_us=3 * HOUR_US, by="time")
    assert seen(view(by_time), sales((1, "a", 0, 5, 5.0)), 2, 4, 5, 6) == [0, 0, 0, 0]


def test_a_row_announced_before_it_happens_counts_by_time_once_it_happened():
    by_time = Feature("n", "count", over_us=3 * HOUR_US, by="time")
    assert seen(view(by_time), sales((1, "a", 4, 0, 5.0)), 0, 3.99, 4, 7) == [0, 0, 1, 0]


def test_the_mean_is_over_values_that_are_not_missing():
    rows = sales((1, "a", 0, 0, 1.0), (2, "a", 0, 1, None), (3, "a", 0, 2, 4.0))
    assert seen(view(MEAN), rows, -1, 0, 1, 2, 3, 5) == [None, 1.0, 1.0, 2.5, 4.0, None]


def test_the_share_is_over_rows_whose_condition_is_not_missing():
    rows = sales((1, "a", 0, 0, 1.0), (2, "a", 0, 0, None), (3, "a", 0, 1, 4.0))
    assert seen(view(SHARE), rows, -1, 0, 1, 3, 4) == [None, 0.0, 0.5, 1.0, None]


def test_the_last_value_is_that_of_the_newest_event_not_of_the_newest_message():
    rows = sales((1, "a", 2, 2, 5.0), (2, "a", 1, 3, 6.0))
    assert seen(view(LAST), rows, 1, 2, 3) == [None, 5.0, 5.0]


def test_the_last_value_may_be_missing():
    assert seen(view(LAST), sales((1, "a", 0, 0, 5.0), (2, "a", 1, 1, None)), 0, 1) == [5.0, None]


def test_a_last_value_older_than_its_time_to_live_is_missing():
    rows = sales((1, "a", 0, 1, 5.0))
    assert seen(view(LAST, ttl_us=6 * HOUR_US), rows, 0, 1, 6, 6.01) == [None, 5.0, 5.0, None]


def test_a_revision_replaces_the_row_once_it_is_known():
    rows = sales((1, "a", 0, 0, 1.0), (1, "a", 0, 1, 3.0))
    assert seen(view(COUNT), rows, 0, 1, 3.99, 4) == [1, 1, 1, 0]
    assert seen(view(SHARE), rows, 0, 1) == [0.0, 1.0]
    assert seen(view(LAST), rows, 0, 1) == [1.0, 3.0]


def test_a_revision_can_move_a_row_to_another_key():
    rows = sales((1, "a", 0, 0, 1.0), (1, "b", 0, 1, 1.0))
    assert seen(view(COUNT), rows, 0, 1) == [1, 0]
    assert seen(view(COUNT), rows, 0, 1, shop="b") == [0, 1]


def test_a_revision_can_take_the_key_away():
    rows = sales((1, "a", 0, 0, 1.0), (1, None, 0, 1, 1.0))
    assert seen(view(COUNT), rows, 0, 1) == [1, 0]


def test_the_same_row_twice_counts_once():
    rows = sales((1, "a", 0, 0, 1.0), (1, "a", 0, 0, 1.0))
    assert seen(view(COUNT), rows, 0) == [1]


def test_a_key_that_was_never_seen_has_no_values_and_counts_nothing():
    rows = sales((1, "a", 0, 0, 1.0))
    assert seen(view(COUNT), rows, 1, shop="z") == [0]
    assert seen(view(LAST), rows, 1, shop=None) == [None]


def test_a_source_without_rows_gives_no_values():
    empty = sales((1, "a", 0, 0, 1.0)).clear()
    assert seen(view(COUNT), empty, 1) == [0]
    assert seen(view(MEAN), empty, 1) == [None]
    assert seen(view(LAST), empty, 1) == [None]


def test_known_at_is_the_newest_within_reach():
    asked = pl.DataFrame({"shop": ["a"] * 3, "at": [NOON_US + hour * HOUR_US for hour in (0, 3, 4)]})
    found = as_of_join(asked, "at", [BoundView(view(COUNT), SALES, sales((1, "a", 0, 0, 1.0)))])
    assert found["v.known_at_us"].to_list() == [NOON_US, NOON_US, None]


def test_several_views_and_keys_are_joined_at_once():
    pair = ViewSpec("pair", "sales", ("shop", "price"), (COUNT,))
    asked = pl.DataFrame({"price": [1.0, 2.0], "shop": ["a", "a"], "at": [NOON_US] * 2})
    rows = sales((1, "a", 0, 0, 1.0), (2, "a", 0, 0, 1.0), (3, "a", 0, 0, 2.0))
    found = as_of_join(asked, "at", [BoundView(pair, SALES, rows), BoundView(view(COUNT), SALES, rows)])
    assert found["pair.n"].to_list() == [2, 1]
    assert found["v.n"].to_list() == [3, 3]


def test_a_missing_key_column_is_named():
    with pytest.raises(InvalidInput, match="shop: view v needs this column; did you mean 'shopp'"):
        as_of_join(
            pl.DataFrame({"shopp": ["a"], "at": [0]}), "at", [BoundView(view(COUNT), SALES, sales((1, "a", 0, 0, 1.0)))]
        )
