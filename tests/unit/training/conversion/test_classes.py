"""Graphs of several classes: every column is the class that the signature says, whatever order the estimator has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.training.answers import class_places, estimator_scores, rule_vectors
from mainspring.training.inputs import to_pandas
from mainspring.training.package import pack_estimator
from mainspring.training.runtime import OnnxScorer

COLUMNS = (Column("a", "float"), Column("b", "float"))
DECLARED = Signature("multiclass", COLUMNS, classes=("c", "a", "b"))
LEARNT = Signature("multiclass", COLUMNS, classes=("a", "b", "c"))
ESTIMATORS: dict[str, Any] = {
    "logistic": LogisticRegression(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "boosted": HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=5),
    "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "lightgbm": LGBMClassifier(n_estimators=5, num_leaves=5, verbose=-1),
}


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})


@pytest.fixture(scope="module")
def came(rows: pl.DataFrame) -> Any:
    rng = np.random.default_rng(1)
    pull = np.column_stack([rows["a"], rows["b"], -rows["a"] - rows["b"]]) + rng.gumbel(size=(200, 3))
    return np.array(["c", "a", "b"])[pull.argmax(axis=1)]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_graph_of_three_classes_answers_as_its_estimator_does_in_the_declared_order(
    name: str, rows: pl.DataFrame, came: Any, tmp_path: Path
) -> None:
    estimator = ESTIMATORS[name].fit(to_pandas(rows), came)

    packed = pack_estimator(estimator, DECLARED, rows, tmp_path)

    assert packed.parity is not None
    assert (packed.runtime, packed.plain_graph, packed.parity.equal, packed.parity.flips) == ("onnx", True, True, 0)
    assert packed.parity.edge_rows > 0
    ours = OnnxScorer(packed.files["model.onnx"], 3).scores(rows)
    theirs = estimator.predict_proba(to_pandas(rows))  # in the order a, b, c
    np.testing.assert_allclose(ours, theirs[:, [2, 0, 1]], atol=1e-6)


def test_an_xgboost_model_of_class_numbers_counts_in_the_sorted_order(
    rows: pl.DataFrame, came: Any, tmp_path: Path
) -> None:
    estimator = XGBClassifier(n_estimators=4, max_depth=3).fit(to_pandas(rows), np.unique(came, return_inverse=True)[1])

    packed = pack_estimator(estimator, LEARNT, rows, tmp_path)

    assert packed.runtime == "onnx", packed.parity
    ours = OnnxScorer(packed.files["model.onnx"], 3).scores(rows)
    np.testing.assert_allclose(ours, estimator.predict_proba(to_pandas(rows)), atol=1e-6)
    with pytest.raises(WorkerFailed, match="knows the classes 0, 1, 2 where the model has c, a, b"):
        estimator_scores(estimator, to_pandas(rows), DECLARED)


def test_an_estimator_that_never_saw_a_class_gives_it_nothing_and_runs_as_it_is(
    rows: pl.DataFrame, came: Any, tmp_path: Path
) -> None:
    two = rows.filter(pl.Series(came != "b"))
    estimator = LogisticRegression().fit(to_pandas(two), came[came != "b"])

    scores = estimator_scores(estimator, to_pandas(rows), DECLARED)
    packed = pack_estimator(estimator, DECLARED, rows, tmp_path)

    assert scores.shape == (200, 3)
    assert not scores[:, 2].any()
    assert packed.runtime == "python"
    assert packed.parity is not None
    assert "knows not every class" in packed.parity.reason


def test_what_has_no_graph_runs_as_it_is_and_says_why(rows: pl.DataFrame, came: Any, tmp_path: Path) -> None:
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DummyClassifier())
    estimator.fit(to_pandas(rows), came)

    packed = pack_estimator(estimator, DECLARED, rows, tmp_path)

    assert packed.runtime == "python"
    assert packed.parity is not None
    assert packed.parity.reason


def test_classes_are_matched_whatever_numpy_makes_of_them() -> None:
    assert class_places(np.array([3, 1]), (1, 2, 3)) == [2, 0]
    assert class_places(np.array([1.0, 3.0]), (1, 2, 3)) == [0, 2]
    assert class_places(np.array([True, False]), (False, True)) == [1, 0]


def test_a_rule_names_its_columns_or_keeps_to_the_order() -> None:
    named = pl.DataFrame({"b": [0.3], "a": [0.2], "c": [0.5]})

    assert rule_vectors(named, ("c", "a", "b")).tolist() == [[0.5, 0.2, 0.3]]
    assert rule_vectors(named.to_pandas(), ("c", "a", "b")).tolist() == [[0.5, 0.2, 0.3]]
    assert rule_vectors(np.array([[0.1, 0.9]]), ("a", "b")).tolist() == [[0.1, 0.9]]
    with pytest.raises(WorkerFailed, match="lacks the column of a class"):
        rule_vectors(named.drop("a"), ("c", "a", "b"))
