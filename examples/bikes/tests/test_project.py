# ruff: noqa: S101
"""Tests of the example's own code."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import make_data
import project

UNTIL = datetime(2025, 10, 1, tzinfo=UTC)


def frame(days):
    table = pd.DataFrame(make_data.rentals(UNTIL, days), columns=make_data.COLUMNS)
    inputs = table[["station", "hour", "weekday", "temperature", "rain"]]
    return inputs.assign(last_hour=8.0, mean_day=8.0, mean_week=8.0, label=table["rented"].astype(float))


def test_rush_hours_are_expected_to_be_busier_than_nights():
    made = project.train(frame(28), {})
    asked = frame(1).drop(columns="label").head(2).assign(station="station", weekday=1, hour=[3, 8], rain=0.0)
    night, rush = made.predict(asked)
    assert rush > night + 10


def test_the_rule_lies_half_way_between_the_last_hour_and_the_days_mean():
    asked = pl.DataFrame({"last_hour": [10.0, None], "mean_day": [20.0, 4.0]})
    assert project.as_usual(asked, {}).to_list() == [15.0, 6.0]


def test_the_bridge_doubles_the_way_up_the_hill():
    table = pd.DataFrame(make_data.rentals(UNTIL), columns=make_data.COLUMNS)
    hill = table[table["station"] == "hill"].set_index("at")["rented"]
    assert hill["2025-07-05":"2025-08-01"].mean() > 1.6 * hill["2025-06-01":"2025-06-28"].mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_rows(seed):
    assert make_data.rentals(UNTIL, 3, seed) == make_data.rentals(UNTIL, 3, seed)
