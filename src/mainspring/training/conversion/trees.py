"""Histogram gradient boosting as one tree ensemble in double precision, so rows near a split take the same side."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert


def boosted_trees(estimator: Any) -> tuple[Ensemble, float]:
    """Return the trees of a HistGradientBoosting model and what their sum begins with."""
    if estimator.n_trees_per_iteration_ != 1:
        raise CannotConvert("more than two classes are not written as a graph yet")
    if getattr(estimator, "_preprocessor", None) is not None or estimator.is_categorical_ is not None:
        raise CannotConvert("categorical splits are not written as a graph yet")
    ensemble = Ensemble("BRANCH_LEQ", double=True)
    for tree, predictors in enumerate(estimator._predictors):
        _add(ensemble, tree, predictors[0].nodes)
    return ensemble, float(np.ravel(np.asarray(estimator._baseline_prediction, dtype=np.float64))[0])


def _add(ensemble: Ensemble, tree: int, nodes: Any) -> None:
    for id, node in enumerate(nodes):
        if node["is_leaf"]:
            ensemble.leaf(tree, id, float(node["value"]))
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
