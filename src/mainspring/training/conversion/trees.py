"""Histogram gradient boosting as one tree ensemble in double precision, so rows near a split take the same side."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert


def boosted_trees(estimator: Any) -> tuple[Ensemble, list[float]]:
    """Return the trees of a HistGradientBoosting model and what their sums, one a class, begin with."""
    if getattr(estimator, "_preprocessor", None) is not None or estimator.is_categorical_ is not None:
        raise CannotConvert("categorical splits are not written as a graph yet")
    targets = int(estimator.n_trees_per_iteration_)
    ensemble = Ensemble("BRANCH_LEQ", double=True, targets=targets)
    for iteration, predictors in enumerate(estimator._predictors):
        for target, predictor in enumerate(predictors):
            _add(ensemble, iteration * targets + target, target, predictor.nodes)
    return ensemble, np.ravel(np.asarray(estimator._baseline_prediction, dtype=np.float64)).tolist()


def _add(ensemble: Ensemble, tree: int, target: int, nodes: Any) -> None:
    for id, node in enumerate(nodes):
        if node["is_leaf"]:
            ensemble.leaf(tree, id, float(node["value"]), target)
            continue
        if node["is_categorical"]:
            raise CannotConvert("categorical splits are not written as a graph yet")
        ensemble.branch(
            tree,
            id,
            int(node["feature_idx"]),
            float(node["num_threshold"]),
            left=int(node["left"]),
            right=int(node["right"]),
            missing_left=bool(node["missing_go_to_left"]),
        )
