"""Random small pipelines: each has a graph that answers the same, on rows that nobody proved it on, or is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn import ensemble, impute, linear_model, naive_bayes, neural_network, preprocessing, svm, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline

from mainspring.kernel.schema import Column, Signature
from mainspring.training.answers import estimator_scores
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.graph import CannotConvert
from mainspring.training.conversion.parity import TOLERANCE, edge_rows, prove
from mainspring.training.inputs import to_pandas
from mainspring.training.runtime import OnnxScorer

INPUTS = (
    Column("shop", "str", nullable=True),
    Column("kind", "str"),
    Column("amount", "float", nullable=True),
    Column("count", "int"),
)
TEXT, NUMBERS = ["shop", "kind"], ["amount", "count"]
SEEDS = st.integers(0, 2**16)


def frame(seed: int, count: int, kinds: str = "abcd") -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    amount = np.round(rng.lognormal(1, 2, count), int(rng.integers(0, 6)))
    return pl.DataFrame(
        {
            "shop": rng.choice(["north", "south", None], count).tolist(),
            "kind": rng.choice(list(kinds), count).tolist(),
            "amount": [None if rng.random() < 0.1 else one for one in amount.tolist()],
            "count": rng.integers(-3, 9, count).tolist(),
        },
        schema={"shop": pl.String, "kind": pl.String, "amount": pl.Float64, "count": pl.Int64},
    )


TEXT_STEPS = st.sampled_from([
    lambda: preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    lambda: preprocessing.OneHotEncoder(handle_unknown="ignore"),
    lambda: preprocessing.OneHotEncoder(handle_unknown="ignore", drop="first", sparse_output=False),
    lambda: preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=30, sparse_output=False),
    lambda: preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    lambda: preprocessing.TargetEncoder(random_state=0),
    lambda: make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder(handle_unknown="ignore")),
])  # fmt: skip
FILLS = st.sampled_from([
    impute.SimpleImputer,
    lambda: impute.SimpleImputer(strategy="median"),
    lambda: impute.SimpleImputer(strategy="constant", fill_value=-7.5, add_indicator=True),
])  # fmt: skip
NUMBER_STEPS = st.lists(
    st.sampled_from([
        preprocessing.StandardScaler,
        lambda: preprocessing.MinMaxScaler(clip=True),
        preprocessing.RobustScaler,
        preprocessing.MaxAbsScaler,
        lambda: preprocessing.PolynomialFeatures(2),
        lambda: preprocessing.KBinsDiscretizer(
            3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        preprocessing.PowerTransformer,
        lambda: preprocessing.FunctionTransformer(np.abs),
    ]),
    max_size=2,
)  # fmt: skip
CLASSIFIERS: list[Any] = [
    lambda depth: linear_model.LogisticRegression(max_iter=50),
    lambda depth: linear_model.SGDClassifier("modified_huber"),
    lambda depth: tree.DecisionTreeClassifier(max_depth=depth),
    lambda depth: ensemble.RandomForestClassifier(4, max_depth=depth),
    lambda depth: ensemble.ExtraTreesClassifier(4, max_depth=depth),
    lambda depth: ensemble.GradientBoostingClassifier(n_estimators=5, max_depth=depth),
    lambda depth: ensemble.HistGradientBoostingClassifier(max_iter=5, max_depth=depth, early_stopping=False),
    lambda depth: neural_network.MLPClassifier(hidden_layer_sizes=(depth,), activation="tanh", max_iter=5),
    lambda depth: naive_bayes.GaussianNB(),
    lambda depth: CalibratedClassifierCV(svm.LinearSVC(), cv=2),
    lambda depth: CalibratedClassifierCV(tree.DecisionTreeClassifier(max_depth=depth), cv=2, method="isotonic"),
    lambda depth: ensemble.AdaBoostClassifier(n_estimators=3),
]
REGRESSORS: list[Any] = [
    lambda depth: linear_model.Ridge(),
    lambda depth: tree.DecisionTreeRegressor(max_depth=depth),
    lambda depth: ensemble.RandomForestRegressor(4, max_depth=depth),
    lambda depth: ensemble.GradientBoostingRegressor(n_estimators=5, max_depth=depth),
    lambda depth: ensemble.HistGradientBoostingRegressor(max_iter=5, max_depth=depth, early_stopping=False),
    lambda depth: svm.SVR(),
]
LAST = st.one_of(
    st.tuples(st.just("binary"), st.sampled_from(CLASSIFIERS)),
    st.tuples(st.just("regression"), st.sampled_from(REGRESSORS)),
)


@settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(text=TEXT_STEPS, fill=FILLS, steps=NUMBER_STEPS, last=LAST, depth=st.integers(1, 9), seed=SEEDS,
       between=st.sampled_from([None, lambda: PCA(2), lambda: SelectKBest(k=2)]))  # fmt: skip
def test_a_pipeline_is_refused_or_its_graph_answers_the_same_on_rows_that_nobody_proved_it_on(
    text: Any, fill: Any, steps: list[Any], last: Any, depth: int, seed: int, between: Any
) -> None:
    task, make = last
    signature = Signature(task=task, inputs=INPUTS)
    known = frame(seed, 240)
    numbers = make_pipeline(fill(), *(step() for step in steps))
    columns = ColumnTransformer([("text", text(), TEXT), ("numbers", numbers, NUMBERS)], sparse_threshold=0)
    parts = [columns, *([between()] if between is not None else []), make(depth)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(seed)
        estimator = make_pipeline(*parts).fit(to_pandas(known), labels(known, task, seed))
        try:
            graph = OnnxScorer(to_onnx(estimator, signature))
        except CannotConvert:
            return

    def theirs(rows: pl.DataFrame) -> Any:
        return np.asarray(estimator_scores(estimator, to_pandas(rows), signature))

    edges = edge_rows(known, signature, splits(estimator, signature))
    proof = prove(graph.scores, theirs, known, edges, signature)
    if not proof.equal:
        return
    fresh = frame(seed + 1, 300, "abcdxyz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apart = np.abs(graph.scores(fresh) - theirs(fresh)).max()
    assert apart <= 2 * proof.tolerance
    assert proof.tolerance >= TOLERANCE
    assert proof.edge_rows > 50


def labels(rows: pl.DataFrame, task: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    push = rows["amount"].fill_null(0).log1p().to_numpy() + rows["count"].to_numpy() / 4 - 2
    if task == "regression":
        return push + rng.normal(size=rows.height)
    found = (rng.random(rows.height) < 1 / (1 + np.exp(-push))).astype(np.float64)
    found[:2] = (0.0, 1.0)
    return found
