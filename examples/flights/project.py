"""Two hours before a flight leaves New York: will it arrive more than 15 minutes late?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mainspring as ms

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

CATEGORIES = ["carrier", "origin", "dest"]
LATE = "arr_delay > 15"

# A flight is known when it has landed, the weather half an hour after it was observed.
flights = ms.Source("flights", "data/flights.parquet", time="sched_dep", known_at="landed_at", key="flight_id")
weather = ms.Source(
    "weather", "data/weather.parquet", time="observed_at", known_after="30m", key=["origin", "observed_at"]
)

origin_weather = ms.FeatureView(
    "origin_weather",
    source=weather,
    key="origin",
    ttl="6h",
    features=[ms.last(name, name=name) for name in ("temp", "wind_speed", "visib", "precip")],
)
recent_late = ms.FeatureView(
    "recent_late",
    source=flights,
    key="origin",
    features=[ms.share(LATE, over="3h", name="origin_late"), ms.count(over="3h", name="origin_landed")],
)
recent_late_carrier = ms.FeatureView(
    "recent_late_carrier",
    source=flights,
    key=["origin", "carrier"],
    features=[ms.share(LATE, over="3h", name="carrier_late"), ms.count(over="3h", name="carrier_landed")],
)

late = ms.Model(
    "late",
    entity="flight_id",
    keys=["origin", "carrier"],
    predict_at="sched_dep - 2h",
    inputs=["dest", "distance", "hour", "day_of_week"],
    features=[origin_weather, recent_late, recent_late_carrier],
    outcome=ms.Outcome(LATE, source=flights, matures_after="36h", if_absent="unlabelled", affected_by_answer=False),
    task="binary",
    checks=[
        ms.checks.metric("roc_auc", at_least=0.62),
        ms.checks.not_worse_than_champion("log_loss", margin=0.01),
    ],
    release=ms.Canary(shadow="21d", shadow_at_least="7d", steps=[0.05, 0.25, 0.5], metric="log_loss", margin=0.01),
    monitors=[ms.Drift(budget="1 per 90d"), ms.Quality("log_loss"), ms.Silence()],
    retrain=ms.Retrain(every="21d", on=["quality"], window="expanding", at_most="1 per 7d", backtest_origins=6),
)


@late.trainer
@late.recipe("last_month", window="30d")
def train(frame: pd.DataFrame, params: dict[str, Any]) -> Pipeline:
    """Boosted trees on everything that the frame holds."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    inputs = frame.drop(columns="label")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    numbers = [name for name in inputs.columns if name not in CATEGORIES]
    columns = ColumnTransformer([("categories", encoder, CATEGORIES), ("numbers", "passthrough", numbers)])
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=200, early_stopping=False, random_state=0
    )
    return Pipeline([("columns", columns), ("trees", trees)]).fit(inputs, frame["label"])


# What follows deserves to lose. The first is an honest mistake: this source says that a flight is known when it is
# scheduled to leave, which is hours before anybody can know how late it lands.
flights_as_scheduled = ms.Source(
    "flights_as_scheduled", "data/flights.parquet", time="sched_dep", known_after="0s", key="flight_id"
)
late_as_scheduled = ms.FeatureView(
    "late_as_scheduled",
    source=flights_as_scheduled,
    key="origin",
    features=[ms.share(LATE, over="3h", name="origin_late"), ms.count(over="3h", name="origin_landed")],
)
late_as_scheduled_carrier = ms.FeatureView(
    "late_as_scheduled_carrier",
    source=flights_as_scheduled,
    key=["origin", "carrier"],
    features=[ms.share(LATE, over="3h", name="carrier_late"), ms.count(over="3h", name="carrier_landed")],
)


@late.recipe("leaky", features=[origin_weather, late_as_scheduled, late_as_scheduled_carrier])
def train_leaky(frame: pd.DataFrame, params: dict[str, Any]) -> Pipeline:
    """The same trees on the features that cannot be known."""
    return train(frame, params)


@late.recipe("flaky")
def train_flaky(frame: pd.DataFrame, params: dict[str, Any]) -> Any:
    """Good answers from careless code around them."""
    from flaky import Flaky

    return Flaky(train(frame, params))
