"""Scikit-learn's own trees (single ones, forests, gradient boosting) as one tree ensemble.

They compare in double precision what was rounded to single precision before: the graph rounds, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

Floats = np.typing.NDArray[np.float64]
TREES = frozenset({"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"})
FORESTS = frozenset({"RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"})
BOOSTED = frozenset({"GradientBoostingClassifier", "GradientBoostingRegressor"})


def mean_of_trees(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a tree or a forest: the mean of the leaves' shares of the second class, or of their estimates."""
    if type(estimator).__name__ in TREES:
        trees = [estimator.tree_]
    else:
        trees = [one.tree_ for one in estimator.estimators_]
    if estimator.n_outputs_ != 1:
        raise CannotConvert("more than one target is not written as a graph yet")
    shares = method == "predict_proba"
    return _write(graph, inputs, trees, [_leaves(tree, shares=shares) / len(trees) for tree in trees], 0.0)


def boosted(graph: GraphWriter, inputs: Tensor, estimator: Any, method: str) -> str:
    """Write a ``GradientBoosting…``: trees on top of a constant."""
    if estimator.init_ != "zero" and type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise CannotConvert("gradient boosting on top of another estimator is not written as a graph yet")
    if estimator.n_trees_per_iteration_ != 1:
        raise CannotConvert("more than two classes are not written as a graph yet")
    nothing = np.zeros((1, estimator.n_features_in_), dtype=np.float32)
    base = float(estimator._raw_predict_init(nothing).ravel()[0])
    trees = [one.tree_ for one in estimator.estimators_.ravel()]
    leaves = [estimator.learning_rate * _leaves(tree, shares=False) for tree in trees]
    raw = _write(graph, inputs, trees, leaves, base)
    if method != "predict_proba":
        return raw
    if estimator.loss == "exponential":
        raw = graph.add("Mul", [raw, graph.number(2.0)])
    return graph.add("Sigmoid", [raw])


def _leaves(tree: Any, *, shares: bool) -> Floats:
    values = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
    if not shares:
        return values[:, 0]
    if values.shape[1] != 2:
        raise CannotConvert("more than two classes are not written as a graph yet")
    share: Floats = values[:, 1] / values.sum(axis=1)
    return share


def _write(graph: GraphWriter, inputs: Tensor, trees: Iterable[Any], leaves: Sequence[Floats], base: float) -> str:
    ensemble = Ensemble("BRANCH_LEQ", double=True)
    for number, (tree, values) in enumerate(zip(trees, leaves, strict=True)):
        _add(ensemble, number, tree, values)
    graph.note(inputs, ensemble.thresholds)
    single = graph.add("Cast", [inputs.name], to=TensorProto.FLOAT)
    return ensemble.write(graph, graph.add("Cast", [single], to=TensorProto.DOUBLE), [base])


def _add(ensemble: Ensemble, number: int, tree: Any, values: Floats) -> None:
    missing_left = tree.__getstate__()["nodes"]["missing_go_to_left"]
    for id in range(tree.node_count):
        left, right = int(tree.children_left[id]), int(tree.children_right[id])
        if left == right:
            ensemble.leaf(number, id, float(values[id]))
            continue
        ensemble.branch(
            number,
            id,
            int(tree.feature[id]),
            float(tree.threshold[id]),
            left=left,
            right=right,
            missing_left=bool(missing_left[id]),
        )
