from __future__ import annotations

import polars as pl
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.registry.model import Recipe
from mainspring.training.split import split


def rows(count: int = 200, delay: int = 5) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity": [f"e{n:03}" for n in range(count)],
            "at_us": list(range(count)),
            "known_us": [n + delay for n in range(count)],
            "shop": [f"s{n % 10}" for n in range(count)],
        }
    )


def recipe(**changed: object) -> Recipe:
    return Recipe("default", "project:train", **changed)  # type: ignore[arg-type]


def test_by_time_the_newest_rows_are_held_out_and_rows_not_known_by_then_are_dropped() -> None:
    made = split(rows(), recipe(), "late.default")

    assert made.held_out["at_us"].to_list() == list(range(160, 200))
    assert made.fit["at_us"].to_list() == list(range(156))
    assert made.dropped == 4


def test_rows_of_one_moment_are_not_torn_apart() -> None:
    together = rows().with_columns((pl.col("at_us") // 50).alias("at_us"), pl.lit(0).alias("known_us"))

    made = split(together, recipe(), "late.default")

    assert set(made.fit["at_us"]) == {0, 1, 2}
    assert set(made.held_out["at_us"]) == {3}


def test_a_random_split_is_repeated_by_its_seed() -> None:
    one, same = (split(rows(), recipe(split="random", seed=1), "x").held_out["entity"].to_list() for _ in range(2))
    other = split(rows(), recipe(split="random", seed=2), "x").held_out["entity"].to_list()

    assert one == same != other
    assert len(one) == 40


def test_a_grouped_split_keeps_groups_whole() -> None:
    made = split(rows(), recipe(split="grouped", group="shop"), "late.default")

    assert made.held_out["shop"].n_unique() == 2
    assert set(made.fit["shop"]) & set(made.held_out["shop"]) == set()


def test_a_group_that_is_no_column_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match=r"late\.default\.group: a grouped split needs .* one of: at_us, entity"):
        split(rows(), recipe(split="grouped", group="sohp"), "late.default")


@pytest.mark.parametrize(("count", "share"), [(30, 0.2), (0, 0.2)])
def test_too_few_rows_are_refused_with_both_counts(count: int, share: float) -> None:
    with pytest.raises(InvalidInput, match=r"late\.default\.window: leaves \d+ rows to fit on and \d+ to judge by"):
        split(rows(count), recipe(holdout_share=share), "late.default")


def test_a_share_outside_of_its_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must lie between 0 and 1"):
        split(rows(), recipe(holdout_share=1.0), "late.default")
