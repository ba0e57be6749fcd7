import pytest

from mainspring.monitoring.summary import Categorical, Numeric, average, distance, spread, summarise


def test_numbers_become_quantiles_and_a_missing_share() -> None:
    summary = summarise([*range(101), *[None] * 101])
    assert isinstance(summary, Numeric)
    assert summary.quantiles[9] == 50
    assert summary.missing_share == 0.5


def test_booleans_and_words_become_shares() -> None:
    assert summarise([True, False, False, False]) == Categorical({"False": 0.75, "True": 0.25})


def test_rare_categories_beyond_the_limit_are_put_together() -> None:
    summary = summarise([f"id{n}" for n in range(1_000)])
    assert isinstance(summary, Categorical)
    assert summary.shares["(rest)"] == 0.8


def test_a_move_by_one_standard_deviation_is_a_distance_of_about_one() -> None:
    base = summarise([n / 100 for n in range(-300, 300)])
    moved = summarise([n / 100 + spread([base]) for n in range(-300, 300)])
    assert distance(moved, base, spread([base])) == pytest.approx(1.0)


def test_a_column_that_goes_missing_moves() -> None:
    base = summarise([1.0, 2.0, 3.0])
    assert distance(summarise([None, None]), base, 1.0) == 1.0
    assert distance(summarise(["x", "y"]), base, 1.0) == 1.0


def test_categories_are_compared_by_total_variation() -> None:
    assert distance(Categorical({"a": 1.0}), Categorical({"b": 1.0}), 1.0) == 1.0
    assert distance(Categorical({"a": 0.5, "b": 0.5}), Categorical({"a": 1.0}), 1.0) == 0.5


def test_the_average_of_quantiles_is_the_middle_distribution() -> None:
    middle = average([Numeric((0.0,) * 19, 0.0), Numeric((2.0,) * 19, 0.5), Numeric((), 1.0)])
    assert middle == Numeric((1.0,) * 19, 0.5)


def test_a_constant_column_has_a_scale() -> None:
    assert spread([summarise([7, 7, 7])]) == 1.0
