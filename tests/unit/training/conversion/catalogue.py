"""What people use, each in a small pipeline of its kind; writes the page of what becomes of it.

Run ``python tests/unit/training/conversion/catalogue.py``; the test beside it tells whether the page is up to date.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from sklearn import (
    calibration,
    decomposition,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import f_classif
from sklearn.pipeline import FeatureUnion, make_pipeline

from mainspring.kernel.schema import Column, Signature
from mainspring.training.answers import estimator_scores
from mainspring.training.conversion.convert import splits, to_onnx
from mainspring.training.conversion.graph import CannotConvert, is_plain
from mainspring.training.conversion.parity import edge_rows, prove
from mainspring.training.inputs import to_pandas
from mainspring.training.runtime import OnnxScorer

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "conversion.md"
INPUTS = (
    Column("carrier", "str", nullable=True),
    Column("dest", "str"),
    Column("temp", "float", nullable=True),
    Column("hour", "int"),
)
TEXT, NUMBERS = ["carrier", "dest"], ["temp", "hour"]
HEAD = """\
# Which estimators become graphs

<!-- written by tests/unit/training/conversion/catalogue.py from what becomes of each; do not edit -->

Each of these was fitted in a pipeline on two texts and two numbers with gaps, written as a graph, and compared with
itself on ordinary rows and on edge rows. *Graph* means that no answer differed by more than 0.00001: it may run in the
gateway. *Process* means that it runs in a model process, where it answers as it does in a notebook, only slower; the
reason is the one that `mainspring version` shows. [Which models run where](../explain/which-models-run-where.md) tells
more.
"""


class Entry(NamedTuple):
    """One estimator of a kind, unfitted."""

    kind: str
    name: str
    make: Callable[[], Any]
    task: str = "binary"


def rows(count: int = 400, seed: int = 7) -> pl.DataFrame:
    """Return rows with two texts and two numbers, of which the first has gaps."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "UA", None], count).tolist(),
            "dest": rng.choice(list("abcdef"), count).tolist(),
            "temp": [None if rng.random() < 0.1 else value for value in rng.normal(size=count).tolist()],
            "hour": rng.integers(0, 24, count).tolist(),
        },
        schema={"carrier": pl.String, "dest": pl.String, "temp": pl.Float64, "hour": pl.Int64},
    )


def labels(frame: pl.DataFrame, task: str) -> Any:
    rng = np.random.default_rng(8)
    push = frame["temp"].fill_null(0).to_numpy() + (frame["carrier"] == "AA").fill_null(value=False).to_numpy()
    if task == "regression":
        return np.exp(push / 4) + rng.random(frame.height) / 10
    return (rng.random(frame.height) < 1 / (1 + np.exp(-push))).astype(np.float64)


def one_hot(**options: Any) -> Any:
    return preprocessing.OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **options})


def ordinal(**options: Any) -> Any:
    return preprocessing.OrdinalEncoder(**{"handle_unknown": "use_encoded_value", "unknown_value": -1, **options})


def columns(text: Any, *numbers: Any) -> Any:
    """Return what encodes the texts and takes the numbers through some steps."""
    return ColumnTransformer([("text", text, TEXT), ("numbers", make_pipeline(*numbers), NUMBERS)])


def filled(*numbers: Any) -> Any:
    return columns(one_hot(), impute.SimpleImputer(), *numbers)


def on_codes(last: Any) -> Any:
    """Return a tree model on ordinal codes, with the gaps that the numbers have."""
    return make_pipeline(ColumnTransformer([("text", ordinal(), TEXT)], remainder="passthrough"), last)


def scaled(last: Any) -> Any:
    return make_pipeline(filled(preprocessing.StandardScaler()), last)


def logistic(*numbers: Any) -> Any:
    return make_pipeline(filled(*numbers), linear_model.LogisticRegression())


def encoded(text: Any) -> Any:
    return make_pipeline(columns(text, impute.SimpleImputer()), linear_model.LogisticRegression())


def categorical() -> Any:
    coded = ColumnTransformer([("text", ordinal(unknown_value=np.nan), TEXT)], remainder="passthrough")
    return make_pipeline(coded, ensemble.HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1]))


def lightgbm(**options: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1, **options)


def lightgbm_regressor(**options: Any) -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=10, n_jobs=1, verbose=-1, **options)


def xgboost(**options: Any) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=10, n_jobs=1, **options)


def xgboost_regressor(**options: Any) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=10, n_jobs=1, **options)


def own(values: Any) -> Any:
    return values * 2


def pair() -> list[tuple[str, Any]]:
    linear = make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    return [("linear", linear), ("trees", ensemble.RandomForestClassifier(5, random_state=0))]


def regressors() -> list[tuple[str, Any]]:
    return [("linear", linear_model.Ridge()), ("trees", ensemble.RandomForestRegressor(5, random_state=0))]


STEP, LINEAR, TREES, OTHER, COMBINED = "Steps", "Linear models", "Trees", "Others", "Made of others"
ENTRIES = [
    Entry(STEP, "StandardScaler", lambda: logistic(preprocessing.StandardScaler())),
    Entry(STEP, "MinMaxScaler", lambda: logistic(preprocessing.MinMaxScaler())),
    Entry(STEP, "MinMaxScaler(clip=True)", lambda: logistic(preprocessing.MinMaxScaler(clip=True))),
    Entry(STEP, "RobustScaler", lambda: logistic(preprocessing.RobustScaler())),
    Entry(STEP, "MaxAbsScaler", lambda: logistic(preprocessing.MaxAbsScaler())),
    Entry(STEP, "SimpleImputer", logistic),
    Entry(
        STEP, "SimpleImputer(add_indicator=True)",
        lambda: make_pipeline(
            columns(one_hot(), impute.SimpleImputer(add_indicator=True)), linear_model.LogisticRegression()
        ),
    ),
    Entry(
        STEP, "KNNImputer",
        lambda: make_pipeline(columns(one_hot(), impute.KNNImputer()), linear_model.LogisticRegression()),
    ),
    Entry(STEP, 'OneHotEncoder(handle_unknown="ignore")', lambda: encoded(one_hot())),
    Entry(STEP, "OneHotEncoder, sparse", lambda: encoded(one_hot(sparse_output=True))),
    Entry(
        STEP, "OneHotEncoder(min_frequency=…)",
        lambda: encoded(one_hot(min_frequency=0.16, handle_unknown="infrequent_if_exist")),
    ),
    Entry(STEP, 'OneHotEncoder(handle_unknown="error")', lambda: encoded(one_hot(handle_unknown="error"))),
    Entry(STEP, 'OrdinalEncoder(handle_unknown="use_encoded_value")',
          lambda: encoded(ordinal(encoded_missing_value=-2))),
    Entry(STEP, "TargetEncoder", lambda: encoded(preprocessing.TargetEncoder(random_state=0))),
    Entry(
        STEP, "KBinsDiscretizer",
        lambda: logistic(preprocessing.KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf")),
    ),
    Entry(STEP, "PolynomialFeatures", lambda: logistic(preprocessing.PolynomialFeatures(3))),
    Entry(STEP, "Binarizer", lambda: logistic(preprocessing.Binarizer())),
    Entry(STEP, "PowerTransformer", lambda: logistic(preprocessing.PowerTransformer())),
    Entry(STEP, "QuantileTransformer", lambda: logistic(preprocessing.QuantileTransformer(n_quantiles=20))),
    Entry(STEP, "SplineTransformer", lambda: logistic(preprocessing.SplineTransformer())),
    Entry(STEP, "FunctionTransformer of np.square", lambda: logistic(preprocessing.FunctionTransformer(np.square))),
    Entry(STEP, "FunctionTransformer of one's own", lambda: logistic(preprocessing.FunctionTransformer(own))),
    Entry(
        STEP, "SelectKBest",
        lambda: make_pipeline(
            filled(), feature_selection.SelectKBest(f_classif, k=4), linear_model.LogisticRegression()
        ),
    ),
    Entry(STEP, "PCA", lambda: make_pipeline(filled(), decomposition.PCA(3), linear_model.LogisticRegression())),
    Entry(
        STEP, "FeatureUnion",
        lambda: logistic(
            FeatureUnion([("as it is", "passthrough"), ("squared", preprocessing.PolynomialFeatures(2))])
        ),
    ),
    Entry(LINEAR, "LogisticRegression", lambda: scaled(linear_model.LogisticRegression())),
    Entry(LINEAR, 'SGDClassifier(loss="log_loss")', lambda: scaled(linear_model.SGDClassifier("log_loss"))),
    Entry(LINEAR, 'SGDClassifier(loss="modified_huber")', lambda: scaled(linear_model.SGDClassifier("modified_huber"))),
    Entry(LINEAR, "LinearDiscriminantAnalysis", lambda: scaled(LinearDiscriminantAnalysis())),
    Entry(LINEAR, "LinearRegression", lambda: scaled(linear_model.LinearRegression()), "regression"),
    Entry(LINEAR, "Ridge", lambda: scaled(linear_model.Ridge()), "regression"),
    Entry(LINEAR, "Lasso", lambda: scaled(linear_model.Lasso(0.01)), "regression"),
    Entry(LINEAR, "ElasticNet", lambda: scaled(linear_model.ElasticNet(0.01)), "regression"),
    Entry(LINEAR, "SGDRegressor", lambda: scaled(linear_model.SGDRegressor()), "regression"),
    Entry(LINEAR, "HuberRegressor", lambda: scaled(linear_model.HuberRegressor(max_iter=500)), "regression"),
    Entry(LINEAR, "BayesianRidge", lambda: scaled(linear_model.BayesianRidge()), "regression"),
    Entry(LINEAR, "PoissonRegressor", lambda: scaled(linear_model.PoissonRegressor()), "regression"),
    Entry(LINEAR, "LinearSVR", lambda: scaled(svm.LinearSVR()), "regression"),
    Entry(TREES, "DecisionTreeClassifier", lambda: on_codes(tree.DecisionTreeClassifier(max_depth=6))),
    Entry(TREES, "RandomForestClassifier", lambda: on_codes(ensemble.RandomForestClassifier(10))),
    Entry(TREES, "RandomForestRegressor", lambda: on_codes(ensemble.RandomForestRegressor(10)), "regression"),
    Entry(TREES, "ExtraTreesClassifier", lambda: on_codes(ensemble.ExtraTreesClassifier(10))),
    Entry(TREES, "GradientBoostingClassifier", lambda: scaled(ensemble.GradientBoostingClassifier(n_estimators=10))),
    Entry(
        TREES, "GradientBoostingRegressor",
        lambda: scaled(ensemble.GradientBoostingRegressor(n_estimators=10)), "regression",
    ),
    Entry(
        TREES, "HistGradientBoostingClassifier", lambda: on_codes(ensemble.HistGradientBoostingClassifier(max_iter=10))
    ),
    Entry(TREES, "HistGradientBoostingClassifier(categorical_features=…)", categorical),
    Entry(TREES, "XGBClassifier", lambda: on_codes(xgboost())),
    Entry(TREES, "XGBRegressor", lambda: on_codes(xgboost_regressor()), "regression"),
    Entry(TREES, 'XGBClassifier(booster="dart")', lambda: on_codes(xgboost(booster="dart"))),
    Entry(TREES, "LGBMClassifier", lambda: on_codes(lightgbm())),
    Entry(TREES, "LGBMRegressor", lambda: on_codes(lightgbm_regressor()), "regression"),
    Entry(TREES, "LGBMClassifier(categorical_feature=…)", lambda: on_codes(lightgbm(categorical_feature=[0, 1]))),
    Entry(TREES, "AdaBoostClassifier", lambda: scaled(ensemble.AdaBoostClassifier(n_estimators=5))),
    Entry(OTHER, "SVR", lambda: scaled(svm.SVR()), "regression"),
    Entry(OTHER, "MLPClassifier", lambda: scaled(neural_network.MLPClassifier(hidden_layer_sizes=(8, 4), max_iter=30))),
    Entry(OTHER, "MLPRegressor",
          lambda: scaled(neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30)), "regression"),
    Entry(OTHER, "KNeighborsClassifier", lambda: scaled(neighbors.KNeighborsClassifier())),
    Entry(OTHER, "GaussianNB", lambda: scaled(naive_bayes.GaussianNB())),
    Entry(COMBINED, "CalibratedClassifierCV of LinearSVC",
          lambda: scaled(calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3))),
    Entry(COMBINED, "CalibratedClassifierCV of SVC",
          lambda: scaled(calibration.CalibratedClassifierCV(svm.SVC(), cv=3))),
    Entry(COMBINED, 'CalibratedClassifierCV(method="isotonic") of a forest',
          lambda: scaled(calibration.CalibratedClassifierCV(
              ensemble.RandomForestClassifier(5, random_state=0), method="isotonic", cv=3))),
    Entry(COMBINED, 'VotingClassifier(voting="soft")',
          lambda: scaled(ensemble.VotingClassifier(pair(), voting="soft"))),
    Entry(COMBINED, "VotingRegressor", lambda: scaled(ensemble.VotingRegressor(regressors(), weights=[1, 2])),
          "regression"),
    Entry(COMBINED, "StackingClassifier", lambda: scaled(ensemble.StackingClassifier(pair(), cv=3))),
    Entry(COMBINED, "StackingRegressor(passthrough=True)",
          lambda: scaled(ensemble.StackingRegressor(regressors(), passthrough=True, cv=3)), "regression"),
    Entry(COMBINED, "BaggingClassifier", lambda: scaled(ensemble.BaggingClassifier(
        tree.DecisionTreeClassifier(max_depth=4), 5, max_features=0.7, random_state=0))),
]  # fmt: skip


def outcome(entry: Entry) -> str:
    """Return ``graph``, or why it runs in a process."""
    frame = rows()
    signature = Signature(task=entry.task, inputs=INPUTS)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(0)
        estimator = entry.make().fit(to_pandas(frame), labels(frame, entry.task))
        try:
            graph = to_onnx(estimator, signature)
            scorer = OnnxScorer(graph)
        except CannotConvert as refusal:
            return f"process: {refusal.what.partition('; skl2onnx')[0]}"
    edges = edge_rows(frame, signature, splits(estimator, signature))
    parity = prove(
        scorer.scores,
        lambda inputs: np.asarray(estimator_scores(estimator, to_pandas(inputs), signature)),
        frame,
        edges,
        signature,
    )
    if not parity.equal:
        return "process: what another converter makes of it answers otherwise"
    return "graph" if is_plain(graph) else "process: its graph holds loops, branches or operators of its own"


def page(outcomes: dict[str, str]) -> str:
    """Return the page of what became of each."""
    parts = [HEAD]
    for kind in dict.fromkeys(entry.kind for entry in ENTRIES):
        parts.append(f"\n## {kind}\n\n| estimator | runs as | why |\n| --- | --- | --- |\n")
        for entry in ENTRIES:
            if entry.kind == kind:
                where, _, why = outcomes[entry.name].partition(": ")
                parts.append(f"| `{entry.name}` | {where} | {why} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page({entry.name: outcome(entry) for entry in ENTRIES}))
