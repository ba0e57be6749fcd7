"""What every ``Latest`` must do."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.keys import encode_key
from mainspring.features.ports import FeatureRow, Latest
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column

HOUR_US = 3_600_000_000
NOON_US = 1_367_582_400_000_000  # 2013-05-03T12:00Z
SALES = SourceSpec(
    "sales",
    PushReader(),
    time="sold",
    key=("id",),
    known_at="told",
    columns=(
        Column("id", "int"),
        Column("shop", "str", nullable=True),
        Column("sold", "time"),
        Column("told", "time"),
        Column("price", "float", nullable=True),
        Column("many", "int", nullable=True),
        Column("gift", "bool", nullable=True),
        Column("what", "str", nullable=True),
    ),
)
RECENT = ViewSpec(
    "recent",
    "sales",
    ("shop",),
    (
        Feature("n", "count", over_us=3 * HOUR_US),
        Feature("mean_price", "mean", column="price", over_us=3 * HOUR_US),
        Feature("dear", "share", condition="price > 2", over_us=2 * HOUR_US),
        Feature("sold_lately", "count", over_us=2 * HOUR_US, by="time"),
        Feature("price", "last", column="price"),
        Feature("many", "last", column="many"),
        Feature("gift", "last", column="gift"),
        Feature("what", "last", column="what"),
        Feature("sold", "last", column="sold"),
    ),
    ttl_us=5 * HOUR_US,
)
VIEW = "b" * 64
NOTHING = (0, None, None, 0, None, None, None, None, None)


def sales(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Return rows of (id, shop, sold, told, price, many, gift, what) with times in hours after noon."""
    frame = pl.DataFrame(list(rows), schema=[column.name for column in SALES.columns], orient="row", strict=False)
    moments = pl.from_epoch((pl.col("sold", "told") * HOUR_US).cast(pl.Int64) + NOON_US, "us")
    return frame.with_columns(moments.dt.replace_time_zone("UTC"))


def hour(hours: float) -> int:
    """Return a moment in microseconds, in hours after noon."""
    return NOON_US + int(hours * HOUR_US)


class LatestContract:
    """Subclass it with a fixture ``latest``: an empty store that keeps at least 25 hours of moments."""

    def test_a_view_that_is_not_fed_is_told_from_a_key_without_rows(self, latest: Latest) -> None:
        assert _get(latest, "a", 1) is None
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 1, 5.0, 1, True, "tea")))
        found = _get(latest, "z", 1)
        assert found is not None
        assert found.values == NOTHING
        assert found.known_us is None

    def test_values_change_as_rows_become_known_and_leave_the_window(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 1, 5.0, 3, True, "tea")))
        last = (5.0, 3, True, "tea", NOON_US)
        assert [_values(latest, "a", at) for at in (0.9, 1, 1.9, 2, 2.9, 3, 4, 5, 5.1)] == [
            NOTHING,
            (1, 5.0, 1.0, 1, *last),
            (1, 5.0, 1.0, 1, *last),
            (1, 5.0, 1.0, 0, *last),
            (1, 5.0, 1.0, 0, *last),
            (1, 5.0, None, 0, *last),
            (0, None, None, 0, *last),
            (0, None, None, 0, *last),
            NOTHING,
        ]

    def test_missing_values_stay_missing(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, None, None, None, None)))
        assert _values(latest, "a", 0) == (1, None, None, 1, None, None, None, None, NOON_US)

    def test_rows_put_again_change_nothing(self, latest: Latest) -> None:
        rows = sales((1, "a", 0, 1, 5.0, 3, True, "tea"), (2, "b", 0, 1, 6.0, 3, True, "tea"))
        latest.put(VIEW, RECENT, SALES, rows)
        before = [_get(latest, key, at) for key in "ab" for at in (1, 2, 4)]
        latest.put(VIEW, RECENT, SALES, rows.reverse())
        assert [_get(latest, key, at) for key in "ab" for at in (1, 2, 4)] == before

    def test_a_row_known_late_changes_the_past_that_saw_it(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 3, 3, 5.0, 3, True, "tea")))
        latest.put(VIEW, RECENT, SALES, sales((2, "a", 1, 1.5, 1.0, 4, False, "rum")))
        assert [_values(latest, "a", at)[0] for at in (1, 1.5, 3, 4.5)] == [0, 1, 2, 1]

    def test_a_revision_moves_a_row_to_another_key(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea")))
        latest.put(VIEW, RECENT, SALES, sales((1, "b", 0, 1, 5.0, 3, True, "tea")))
        assert [_values(latest, "a", at)[0] for at in (0, 1)] == [1, 0]
        assert [_values(latest, "b", at)[0] for at in (0, 1)] == [0, 1]

    def test_rows_without_a_key_belong_to_none(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, None, 0, 0, 5.0, 3, True, "tea")))
        assert latest.get(VIEW, [encode_key([None])], hour(0)) == [FeatureRow(NOTHING, None)]

    def test_a_view_without_rows_is_fed_all_the_same(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea")).clear())
        assert _values(latest, "a", 0) == NOTHING
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea")))
        assert _values(latest, "a", 0)[0] == 1

    def test_long_keys_are_kept_apart(self, latest: Latest) -> None:
        long = ["x" * 5_000 + end for end in "ab"]
        latest.put(VIEW, RECENT, SALES, sales(*((n, key, 0, 0, n, 3, True, "tea") for n, key in enumerate(long))))
        assert [_values(latest, key, 0)[4] for key in long] == [0.0, 1.0]

    def test_many_keys_are_asked_at_once_and_in_order(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales(*((n, f"s{n}", 0, 0, n, n, True, f"w{n}") for n in range(300))))
        found = latest.get(VIEW, [encode_key([f"s{n}"]) for n in range(300)], hour(0))
        assert [row.values[5] if row else None for row in found] == list(range(300))
        assert [row.values[7] if row else None for row in found] == [f"w{n}" for n in range(300)]

    def test_positions_are_kept_until_the_view_is_dropped(self, latest: Latest) -> None:
        assert latest.position(VIEW) == ""
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea")))
        latest.mark(VIEW, "7")
        latest.put(VIEW, RECENT, SALES, sales((2, "a", 0, 0, 5.0, 3, True, "tea")))
        assert latest.position(VIEW) == "7"
        latest.drop(VIEW)
        assert latest.position(VIEW) == ""
        assert _get(latest, "a", 0) is None

    def test_views_do_not_mix(self, latest: Latest) -> None:
        latest.put(VIEW, RECENT, SALES, sales((1, "a", 0, 0, 5.0, 3, True, "tea")))
        latest.put("c" * 64, RECENT, SALES, sales((2, "b", 0, 0, 5.0, 3, True, "tea")))
        latest.drop(VIEW)
        found = latest.get("c" * 64, [encode_key(["a"]), encode_key(["b"])], hour(0))
        assert [row.values[0] if row else None for row in found] == [0, 1]

    def test_online_and_offline_agree_to_the_bit_at_every_moment(self, latest: Latest) -> None:
        days = [(n, "ab"[n % 2], n / 7, n / 7 + n % 5 / 3, n / 3 if n % 4 else None, n, n % 3 == 0, f"w{n % 6}")
                for n in range(400)]  # fmt: skip
        rows = sales(*days)
        for first in range(0, 400, 37):
            latest.put(VIEW, RECENT, SALES, rows[first : first + 37])
        moments = [hour(36 + at / 5) for at in range(150)]
        asked = pl.DataFrame({"shop": ["a", "b"] * len(moments), "at": [at for at in moments for _ in "ab"]})
        offline = as_of_join(asked, "at", [BoundView(RECENT, SALES, rows)])
        features = [f"recent.{feature.name}" for feature in RECENT.features]
        for row in offline.iter_rows(named=True):
            online = latest.get(VIEW, [encode_key([row["shop"]])], row["at"])[0]
            assert online == FeatureRow(tuple(row[name] for name in features), row["recent.known_at_us"])


def _get(latest: Latest, key: str, hours: float) -> FeatureRow | None:
    return latest.get(VIEW, [encode_key([key])], hour(hours))[0]


def _values(latest: Latest, key: str, hours: float) -> Sequence[Any]:
    found = _get(latest, key, hours)
    assert found is not None
    return found.values
