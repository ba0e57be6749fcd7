from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from mainspring.kernel.schema import Column, Signature
from mainspring.training.answers import estimator_scores
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.graph import CannotConvert, is_plain
from mainspring.training.conversion.parity import edge_rows, prove
from mainspring.training.inputs import to_pandas
from mainspring.training.runtime import OnnxScorer

INPUTS = (
    Column("carrier", "str", nullable=True),
    Column("dest", "str"),
    Column("temp", "float", nullable=True),
    Column("hour", "int"),
)
BINARY = Signature(task="binary", inputs=INPUTS)
REGRESSION = Signature(task="regression", inputs=INPUTS)
TEXT, NUMBERS = ["carrier", "dest"], ["temp", "hour"]


def rows(count: int = 1_500) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    temp = rng.normal(size=count)
    return pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "UA", None], count).tolist(),
            "dest": rng.choice(list("abcdef"), count).tolist(),
            "temp": [None if rng.random() < 0.1 else value for value in temp.tolist()],
            "hour": rng.integers(0, 24, count).tolist(),
        },
        schema={"carrier": pl.String, "dest": pl.String, "temp": pl.Float64, "hour": pl.Int64},
    )


def labels(frame: pl.DataFrame) -> np.typing.NDArray[np.float64]:
    rng = np.random.default_rng(8)
    push = frame["temp"].fill_null(0).to_numpy() + (frame["carrier"] == "AA").fill_null(value=False).to_numpy()
    return (rng.random(frame.height) < 1 / (1 + np.exp(-push))).astype(np.float64)


def ordinal(**options: Any) -> OrdinalEncoder:
    return OrdinalEncoder(**{"handle_unknown": "use_encoded_value", "unknown_value": -1, **options})


def numbers() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler())


ESTIMATORS: dict[str, tuple[Any, Signature]] = {
    "boosting on ordinal codes": (
        make_pipeline(
            ColumnTransformer([("text", ordinal(), TEXT)], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=30, early_stopping=False, random_state=0),
        ),
        BINARY,
    ),
    "boosting where unknown is missing": (
        make_pipeline(
            ColumnTransformer([("text", ordinal(unknown_value=np.nan), TEXT)], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=30, early_stopping=False, random_state=0),
        ),
        BINARY,
    ),
    "boosted regression": (
        make_pipeline(
            ColumnTransformer([("text", ordinal(), TEXT), ("numbers", "passthrough", NUMBERS)]),
            HistGradientBoostingRegressor(max_iter=30, early_stopping=False, random_state=0),
        ),
        REGRESSION,
    ),
    "boosted poisson regression": (
        make_pipeline(
            ColumnTransformer([("text", ordinal(), TEXT)], remainder="passthrough"),
            HistGradientBoostingRegressor(loss="poisson", max_iter=30, early_stopping=False, random_state=0),
        ),
        REGRESSION,
    ),
    "logistic regression on one-hot": (
        make_pipeline(
            ColumnTransformer(
                [("text", OneHotEncoder(handle_unknown="ignore"), TEXT), ("numbers", numbers(), NUMBERS)]
            ),
            LogisticRegression(),
        ),
        BINARY,
    ),
    "ridge on one-hot with one level dropped": (
        make_pipeline(
            ColumnTransformer(
                [
                    ("text", OneHotEncoder(handle_unknown="ignore", drop="if_binary"), TEXT),
                    ("numbers", make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), NUMBERS),
                ]
            ),
            Ridge(),
        ),
        REGRESSION,
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_graph_answers_as_its_estimator_does_on_ordinary_and_edge_rows(name: str) -> None:
    estimator, signature = ESTIMATORS[name]
    frame = rows()
    estimator.fit(to_pandas(frame), labels(frame))

    graph = to_onnx(estimator, signature)
    parity = prove(
        OnnxScorer(graph).scores,
        lambda inputs: np.asarray(estimator_scores(estimator, to_pandas(inputs), signature)),
        frame,
        edge_rows(frame, signature, splits(estimator, signature)),
        signature,
    )

    assert parity.equal, parity.reason
    assert parity.largest_difference < 1e-5
    assert parity.rows > 1_550
    assert is_plain(graph)
    assert to_onnx(estimator, signature) == graph


def test_rows_beside_a_split_take_the_side_that_the_estimator_takes() -> None:
    signature = Signature(task="regression", inputs=(Column("x", "float"),))
    frame = pl.DataFrame({"x": [0.1 * n for n in range(200)]})
    estimator = HistGradientBoostingRegressor(max_iter=5, early_stopping=False, min_samples_leaf=1)
    estimator.fit(to_pandas(frame), (frame["x"].to_numpy() > 7.3).astype(float))
    cuts = splits(estimator, signature)["x"]
    near = [one for cut in cuts for one in (np.nextafter(cut, -1e9), cut, np.nextafter(cut, 1e9))]

    answered = OnnxScorer(to_onnx(estimator, signature)).scores(pl.DataFrame({"x": near}))

    assert len(cuts) == 2
    assert np.abs(answered - estimator.predict(to_pandas(pl.DataFrame({"x": near})))).max() < 1e-6


def test_an_encoder_that_raises_for_unknown_categories_is_refused_with_the_remedy() -> None:
    frame = rows()
    estimator = make_pipeline(
        ColumnTransformer([("text", OrdinalEncoder(), TEXT)], remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=3, early_stopping=False),
    ).fit(to_pandas(frame), labels(frame))

    with pytest.raises(CannotConvert, match="an OrdinalEncoder that raises for unknown categories cannot be a graph"):
        to_onnx(estimator, BINARY)


def test_a_function_of_ones_own_is_refused() -> None:
    class Mine:
        def predict_proba(self, frame: Any) -> Any:
            return np.full((len(frame), 2), 0.5)

    with pytest.raises(CannotConvert, match="Mine is not an estimator of scikit-learn"):
        to_onnx(Mine(), Signature(task="binary", inputs=(Column("x", "float"),)))


def test_a_graph_that_answers_otherwise_is_not_proven() -> None:
    frame = rows(100)
    parity = prove(
        lambda inputs: np.zeros(inputs.height),
        lambda inputs: np.full(inputs.height, 0.6),
        frame,
        frame.head(1),
        BINARY,
    )

    assert not parity.equal
    assert parity.flips == 101
    assert parity.reason == "differs by up to 0.6 where 1e-05 is allowed, 101 decisions flip"


def test_an_estimator_that_raises_on_an_edge_row_has_no_proof() -> None:
    def raises(inputs: pl.DataFrame) -> Any:
        raise ValueError("unknown category")

    parity = prove(lambda inputs: np.zeros(inputs.height), raises, rows(10), rows(1), BINARY)

    assert not parity.equal
    assert parity.reason == "a row raised: unknown category"


@pytest.mark.filterwarnings("ignore")
def test_what_has_no_nodes_here_goes_through_skl2onnx_and_has_one_output() -> None:
    signature = Signature(task="binary", inputs=(Column("x", "float"), Column("y", "float")))
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    from sklearn.ensemble import AdaBoostClassifier

    estimator = AdaBoostClassifier(n_estimators=5, random_state=0)
    estimator.fit(to_pandas(frame), (frame["x"].to_numpy() > 0).astype(int))

    answered = OnnxScorer(to_onnx(estimator, signature)).scores(frame)

    assert answered.shape == (200,)
    assert np.abs(answered - estimator.predict_proba(to_pandas(frame))[:, 1]).max() < 1e-4


def test_the_splits_of_trees_on_scaled_and_filled_numbers_are_followed_back_to_the_inputs() -> None:
    from sklearn.tree import DecisionTreeClassifier

    signature = Signature(task="binary", inputs=(Column("x", "float", nullable=True),))
    frame = pl.DataFrame({"x": [float(one) for one in range(100)]})
    steps = SimpleImputer(), StandardScaler(), MinMaxScaler(feature_range=(-3, 5))
    estimator = make_pipeline(*steps, DecisionTreeClassifier(max_depth=1))
    estimator.fit(to_pandas(frame), (frame["x"] > 41).to_numpy())

    found = splits(estimator, signature)

    assert found == {"x": [pytest.approx(41.5, abs=1e-4)]}
    beside = edge_rows(frame, signature, found)["x"].drop_nulls()
    assert beside.is_between(41.49, 41.51).sum() >= 12
