"""Fitted estimators as graph nodes: which there are, and what reaches them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.training.conversion import combined, forests, linear
from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor
from mainspring.training.conversion.lightgbm import ZERO, LightGbmTrees
from mainspring.training.conversion.steps import transform
from mainspring.training.conversion.trees import boosted_trees
from mainspring.training.conversion.xgboost import xgboost_trees

HISTOGRAMS = frozenset({"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"})
VOTING = frozenset({"VotingClassifier", "VotingRegressor"})
STACKING = frozenset({"StackingClassifier", "StackingRegressor"})
BAGGING = frozenset({"BaggingClassifier", "BaggingRegressor"})
COMBINED = VOTING | STACKING | BAGGING | {"CalibratedClassifierCV"}
EXPONENTIAL = frozenset({"poisson", "gamma"})
_DENSE = frozenset({"StandardScaler", "str", "MaxAbsScaler", "SelectKBest", "VarianceThreshold"})  # or as it was before


def write(graph: GraphWriter, estimator: Any, columns: list[Tensor], method: str, *, sparse: bool = False) -> str:
    """Write an estimator, or a pipeline that ends in one, and return its answer as doubles ``(n, 1)``.

    ``method`` is ``predict_proba`` (of the second of two classes), ``decision_function`` or ``predict``;
    ``sparse`` says that scikit-learn hands it a sparse matrix.
    """
    steps, last = taken_apart(estimator)
    for step in steps:
        columns = transform(graph, step, columns)
    return _written(graph, last, columns, method, sparse=_is_sparse(steps, sparse))


def taken_apart(estimator: Any) -> tuple[list[Any], Any]:
    """Return the steps of a pipeline before its last one, and that."""
    if type(estimator).__name__ != "Pipeline":
        return [], estimator
    return [step for _, step in estimator.steps[:-1]], estimator.steps[-1][1]


def _written(graph: GraphWriter, last: Any, columns: list[Tensor], method: str, *, sparse: bool) -> str:
    name = type(last).__name__
    if method == "predict" and getattr(last, "classes_", None) is not None:
        raise CannotConvert("the class that a classifier decides for is not written as a graph, its probability is")
    if _library(last) == "sklearn":
        made = _combined(graph, last, columns, method, sparse=sparse)
        if made is not None:
            return made
    if any(column.text for column in columns):
        raise CannotConvert("text reaches the last step")
    inputs = graph.joined(columns)
    if _library(last) == "lightgbm" and hasattr(last, "booster_"):
        return _lightgbm(graph, last, inputs, sparse=sparse)
    if _library(last) == "xgboost" and hasattr(last, "get_booster"):
        return _xgboost(graph, last, inputs, sparse=sparse)
    if _library(last) != "sklearn":
        raise CannotConvert(f"{name} is not an estimator of scikit-learn, XGBoost or LightGBM")
    return _sklearn(graph, last, inputs, method)


def _combined(graph: GraphWriter, last: Any, columns: list[Tensor], method: str, *, sparse: bool) -> str | None:
    name = type(last).__name__
    if name in COMBINED and len(getattr(last, "classes_", ())) > 2:
        raise CannotConvert(f"a {name} of more than two classes is not written as a graph yet")
    if name == "Pipeline":
        return write(graph, last, columns, method, sparse=sparse)
    if name == "CalibratedClassifierCV":
        return combined.calibrated(graph, last, columns, write, sparse=sparse)
    if name == "FrozenEstimator":
        return write(graph, last.estimator, columns, method, sparse=sparse)
    if name in VOTING:
        return combined.voting(graph, last, columns, write, method, sparse=sparse)
    if name in STACKING:
        return combined.stacked(graph, last, columns, write, method, sparse=sparse)
    if name in BAGGING:
        return combined.bagged(graph, last, columns, write, method, sparse=sparse)
    return None


def _sklearn(graph: GraphWriter, last: Any, inputs: Tensor, method: str) -> str:
    name = type(last).__name__
    if name in HISTOGRAMS:
        return _histograms(graph, last, inputs, method)
    if name in forests.TREES or name in forests.FORESTS:
        return forests.mean_of_trees(graph, inputs, last, method)
    if name in forests.BOOSTED:
        return forests.boosted(graph, inputs, last, method)
    if name in linear.ESTIMATES or name in linear.GENERALISED or name in linear.DECISIONS:
        return linear.linear(graph, inputs, last, method)
    if name == "GaussianNB":
        return linear.naive(graph, inputs, last, method)
    if name in linear.MACHINES:
        return linear.machine(graph, inputs, last, method)
    if name in linear.NETWORKS:
        return linear.network(graph, inputs, last, method)
    raise CannotConvert(f"{name} has no graph nodes here")


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]


def _histograms(graph: GraphWriter, last: Any, inputs: Tensor, method: str) -> str:
    ensemble, base = boosted_trees(last)
    graph.note(inputs, ensemble.thresholds)
    raw = ensemble.write(graph, inputs.name, base)
    if not type(last).__name__.endswith("Classifier"):
        return _last(graph, "Exp" if last.loss in EXPONENTIAL else "Identity", raw)
    if method != "predict_proba":
        return raw
    return _last(graph, "Sigmoid" if len(base) == 1 else "Softmax", raw)


def _last(graph: GraphWriter, operator: str, raw: str) -> str:
    """Append what follows the sums: none, or the operator that makes probabilities or rates of them."""
    if operator == "Identity":
        return raw
    return graph.add(operator, [raw], axis=1) if operator == "Softmax" else graph.add(operator, [raw])


def _xgboost(graph: GraphWriter, last: Any, inputs: Tensor, *, sparse: bool) -> str:
    if sparse:
        inputs = _zeros_missing(graph, inputs)  # in a sparse matrix XGBoost takes a zero for a missing value
    ensemble, base, operator = xgboost_trees(last)
    graph.note(inputs, ensemble.thresholds)
    raw = ensemble.write(graph, inputs.name, base)
    return _last(graph, operator, raw)


def _lightgbm(graph: GraphWriter, last: Any, inputs: Tensor, *, sparse: bool) -> str:
    trees = LightGbmTrees(last)
    graph.note(inputs, trees.ensemble.thresholds)
    name = inputs.name
    if trees.none:
        unseen = graph.add("And", [graph.add("IsNaN", [name]), _mask(graph, inputs, trees.none)])
        name = graph.add("Where", [unseen, graph.constant(np.zeros((1, 1))), name])
    if trees.zero or (trees.splits_at_zero and not sparse):
        small = graph.constant(np.full((1, 1), ZERO))
        zero = graph.add("LessOrEqual", [graph.add("Abs", [name]), small])
        if sparse:  # there LightGBM takes numbers as they are, except where zero stands for missing
            zero = graph.add("And", [zero, _mask(graph, inputs, trees.zero)])
        meant = np.zeros((1, inputs.width))
        meant[0, trees.zero] = np.nan
        name = graph.add("Where", [zero, graph.constant(meant), name])
    raw = trees.ensemble.write(graph, name, [0.0] * trees.targets)
    if trees.scale != 1.0:
        raw = graph.add("Mul", [raw, graph.constant(np.full((1, 1), trees.scale))])
    return _last(graph, trees.last, raw)


def _mask(graph: GraphWriter, inputs: Tensor, features: list[int]) -> str:
    mask = np.zeros((1, inputs.width), dtype=np.bool_)
    mask[0, features] = True
    return graph.constant(mask)


def _is_sparse(steps: list[Any], before: bool) -> bool:
    """Say whether the last step receives a sparse matrix, as the fitted steps before it tell."""
    for step in reversed(steps):
        name = type(step).__name__
        if name == "ColumnTransformer":
            return bool(step.sparse_output_)
        if name == "OneHotEncoder":
            return bool(step.sparse_output)
        if name == "KBinsDiscretizer":
            return bool(step.encode == "onehot")
        if name == "FeatureUnion":
            return any(_is_sparse([part], before) for _, part in step.transformer_list)
        if name == "Pipeline":
            return _is_sparse([part for _, part in step.steps], before)
        if name not in _DENSE:
            return False
    return before


def _zeros_missing(graph: GraphWriter, inputs: Tensor) -> Tensor:
    zero = graph.add("Equal", [inputs.name, graph.constant(np.zeros((1, 1)))])
    missing = graph.constant(np.full((1, 1), np.nan))
    return Tensor(graph.add("Where", [zero, missing, inputs.name]), inputs.width, origins=inputs.origins)
