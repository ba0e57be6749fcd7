from __future__ import annotations

import warnings
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from mainspring.kernel.schema import Column, Signature
from mainspring.registry.version import Parity
from mainspring.training.answers import estimator_scores
from mainspring.training.conversion import trees
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert, is_plain
from mainspring.training.conversion.parity import edge_rows, prove
from mainspring.training.inputs import to_pandas
from mainspring.training.runtime import OnnxScorer

INPUTS = (
    Column("carrier", "str"),
    Column("temp", "float", nullable=True),
    Column("wind", "float"),
    Column("hour", "int"),
)
NUMBERS = INPUTS[1:]


def rows(count: int = 1_200) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "carrier": rng.choice(list("ABCDEFGH"), count).tolist(),
            "temp": [None if rng.random() < 0.2 else value for value in rng.normal(size=count).tolist()],
            "wind": np.where(rng.random(count) < 0.5, 0.0, rng.normal(size=count)).tolist(),
            "hour": rng.integers(0, 24, count).tolist(),
        }
    )


def encoded(last: Any, *, sparse: bool = False) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore") if sparse else ordinal()
    threshold = 1.0 if sparse else 0.0
    step = ColumnTransformer([("text", encoder, ["carrier"])], remainder="passthrough", sparse_threshold=threshold)
    return make_pipeline(step, last)


def ordinal() -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def xgb(**options: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=40, max_depth=5, n_jobs=1, **options)


def lgbm(**options: Any) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=40, num_leaves=20, n_jobs=1, verbose=-1, **options)


REGRESSORS: dict[str, Any] = {
    "XGBoost regression": xgboost.XGBRegressor(n_estimators=40, max_depth=5, n_jobs=1),
    "XGBoost poisson": xgboost.XGBRegressor(n_estimators=40, max_depth=5, n_jobs=1, objective="count:poisson"),
    "LightGBM regression": lightgbm.LGBMRegressor(n_estimators=40, n_jobs=1, verbose=-1),
    "LightGBM poisson": lightgbm.LGBMRegressor(n_estimators=40, n_jobs=1, verbose=-1, objective="poisson"),
}
CASES: dict[str, tuple[Any, tuple[Column, ...], Any]] = {
    "XGBoost on ordinal codes": (encoded(xgb()), INPUTS, "binary"),
    "XGBoost on a sparse matrix, where a zero is missing": (encoded(xgb(), sparse=True), INPUTS, "binary"),
    "XGBoost on numbers alone": (xgb(scale_pos_weight=3.0), NUMBERS, "binary"),
    "LightGBM on ordinal codes": (encoded(lgbm()), INPUTS, "binary"),
    "LightGBM on a sparse matrix": (encoded(lgbm(), sparse=True), INPUTS, "binary"),
    "LightGBM with zero for missing": (lgbm(zero_as_missing=True), NUMBERS, "binary"),
    "LightGBM with a sigmoid of its own": (lgbm(sigmoid=0.7), NUMBERS, "binary"),
    **{name: (encoded(estimator), INPUTS, "regression") for name, estimator in REGRESSORS.items()},
}


def proved(estimator: Any, signature: Signature, frame: pl.DataFrame, graph: bytes) -> Parity:
    return prove(
        OnnxScorer(graph).scores,
        lambda inputs: np.asarray(estimator_scores(estimator, to_pandas(inputs), signature)),
        frame,
        edge_rows(frame, signature, splits(estimator, signature)),
        signature,
    )


def fitted(estimator: Any, frame: pl.DataFrame) -> Any:
    rng = np.random.default_rng(4)
    push = frame["temp"].fill_null(1.0).to_numpy() + frame["wind"].to_numpy() + (frame["carrier"] == "A").to_numpy()
    label = (rng.random(frame.height) < 1 / (1 + np.exp(-push))).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(to_pandas(frame.select(estimator_columns(estimator))), label)


def estimator_columns(estimator: Any) -> list[str]:
    return [column.name for column in (INPUTS if hasattr(estimator, "steps") else NUMBERS)]


@pytest.mark.parametrize("name", CASES)
def test_a_booster_s_graph_answers_as_it_does_on_ordinary_rows_and_beside_its_splits(name: str) -> None:
    estimator, inputs, task = CASES[name]
    signature = Signature(task=task, inputs=inputs)
    frame = rows()
    fitted(estimator, frame)
    seen = frame.select([column.name for column in inputs])

    graph = to_onnx(estimator, signature)
    parity = proved(estimator, signature, seen, graph)

    assert parity.equal, parity.reason
    assert parity.flips == 0
    assert parity.edge_rows > 500
    assert parity.rows == 1_200 + parity.edge_rows
    assert is_plain(graph)
    assert to_onnx(estimator, signature) == graph
    assert all(len(splits(estimator, signature)[name]) > 3 for name in ("temp", "wind", "hour"))


def test_a_column_that_was_never_missing_is_zero_to_lightgbm_where_it_is_missing() -> None:
    signature = Signature(task="regression", inputs=(Column("x", "float", nullable=True),))
    whole = pl.DataFrame({"x": [float(n) for n in range(-50, 50)]})
    estimator = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(to_pandas(whole), whole["x"].to_numpy())
    asked = pl.DataFrame({"x": [None, 0.0, -40.0]}, schema={"x": pl.Float64})

    missing, zero, low = OnnxScorer(to_onnx(estimator, signature)).scores(asked)

    assert missing == zero != low


def test_trees_that_stopped_early_are_those_up_to_the_best_one() -> None:
    signature = Signature(task="binary", inputs=NUMBERS)
    frame = rows().drop("carrier")
    label = np.random.default_rng(1).integers(0, 2, frame.height)
    estimator = xgb(early_stopping_rounds=3, learning_rate=0.9)
    estimator.fit(to_pandas(frame), label, eval_set=[(to_pandas(frame.head(100)), 1 - label[:100])], verbose=False)
    assert estimator.best_iteration < estimator.get_booster().num_boosted_rounds() - 1

    assert proved(estimator, signature, frame, to_onnx(estimator, signature)).equal


def test_thresholds_that_lose_their_precision_are_found_out_beside_the_splits_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signature = Signature(task="regression", inputs=NUMBERS)
    frame = rows().drop("carrier")
    estimator = HistGradientBoostingRegressor(max_iter=20, early_stopping=False)
    estimator.fit(to_pandas(frame), frame["wind"].to_numpy() ** 2)

    monkeypatch.setattr(trees, "Ensemble", lambda mode, double, targets: Ensemble(mode, double=False, targets=targets))
    parity = proved(estimator, signature, frame, to_onnx(estimator, signature))

    assert not parity.equal
    assert parity.edge_largest_difference > 0.01
    assert "differs by up to" in parity.reason


REFUSED: dict[str, tuple[Any, str]] = {
    "dart": (xgb(booster="dart"), "the booster dart"),
    "a value of its own for missing": (xgb(missing=-1.0), "takes -1.0 for missing"),
    "a random forest": (lgbm(boosting_type="rf", subsample=0.5, subsample_freq=1), "a random forest of LightGBM"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equal_graph_is_refused_with_the_reason(name: str) -> None:
    estimator, reason = REFUSED[name]
    frame = rows()
    fitted(estimator, frame)
    with pytest.raises(CannotConvert, match=reason):
        to_onnx(estimator, Signature(task="binary", inputs=NUMBERS))


CATEGORICAL = {
    "XGBoost": encoded(xgb(enable_categorical=True, feature_types=["c", "q", "q", "q"], max_cat_to_onehot=1)),
    "LightGBM": encoded(lgbm(categorical_feature=[0])),
}


@pytest.mark.parametrize("name", CATEGORICAL)
def test_categorical_splits_are_refused(name: str) -> None:
    fitted(CATEGORICAL[name], rows())
    with pytest.raises(CannotConvert, match="categorical splits are not written as a graph yet"):
        to_onnx(CATEGORICAL[name], Signature(task="binary", inputs=INPUTS))
