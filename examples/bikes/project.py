"""How many bikes will be rented at a station in the next hour? A rule answers first; a model has to be better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mainspring as ms

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

rentals = ms.Source("rentals", "data/rentals.csv", time="at", known_at="counted_at", key="rental_id")

recent = ms.FeatureView(
    "recent",
    source=rentals,
    key="station",
    ttl="3h",
    features=[
        ms.last("rented", name="last_hour"),
        ms.mean("rented", over="24h", name="mean_day"),
        ms.mean("rented", over="7d", name="mean_week"),
    ],
)

demand = ms.Model(
    "demand",
    entity="rental_id",
    keys=["station"],
    inputs=["hour", "weekday", "temperature", "rain"],
    predict_at="at",
    features=[recent],
    outcome=ms.Outcome("rented", source=rentals, matures_after="6h", affected_by_answer=False),
    task="regression",
    checks=[ms.checks.metric("mae", at_most=15.0), ms.checks.not_worse_than_champion("mae", margin=0.5)],
    release=ms.Canary(shadow="21d", steps=[0.2, 0.5], metric="absolute_error", bound=60.0, margin=2.0),
    monitors=[ms.Quality("absolute_error", bound=60.0, margin=1.0), ms.Health(), ms.Silence()],
    retrain=ms.Retrain(every="30d", on=["quality"]),
)


@demand.rule
def as_usual(frame: pl.DataFrame, params: dict[str, Any]) -> pl.Series:
    """What the stations' keeper says: as in the last hour, half way back to the day's mean."""
    return (0.5 * frame["last_hour"].fill_null(8) + 0.5 * frame["mean_day"].fill_null(8)).rename("rented")


@demand.trainer(window="60d")
def train(frame: pd.DataFrame, params: dict[str, Any]) -> Any:
    """Boosted trees on hour, weather and recent counts."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    inputs = frame.drop(columns="label")
    numbers = [name for name in inputs.columns if name != "station"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("station", encoder, ["station"]), ("numbers", "passthrough", numbers)])
    trees = HistGradientBoostingRegressor(max_iter=80, early_stopping=False, random_state=0)
    return Pipeline([("columns", columns), ("trees", trees)]).fit(inputs, frame["label"])
