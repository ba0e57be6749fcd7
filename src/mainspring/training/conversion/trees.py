"""Histogram gradient boosting as one tree ensemble in double precision, so rows near a split take the same side."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor


def boosted_trees(graph: GraphWriter, estimator: Any, inputs: Tensor) -> str:
    """Return the raw sum ``(n, 1)`` of a HistGradientBoosting model's leaves as a float tensor."""
    if estimator.n_trees_per_iteration_ != 1:
        raise CannotConvert("more than two classes are not written as a graph yet")
    if getattr(estimator, "_preprocessor", None) is not None or estimator.is_categorical_ is not None:
        raise CannotConvert("categorical splits are not written as a graph yet")
    columns = _Nodes()
    for tree, predictors in enumerate(estimator._predictors):
        columns.add(tree, predictors[0].nodes)
    baseline = np.ravel(np.asarray(estimator._baseline_prediction, dtype=np.float64))
    return graph.add(
        "TreeEnsembleRegressor",
        [inputs.name],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        base_values_as_tensor=_doubles("base", baseline),
        **columns.attributes(),
    )


class _Nodes:
    """The columns of a tree ensemble's attributes."""

    def __init__(self) -> None:
        self.trees: list[int] = []
        self.ids: list[int] = []
        self.features: list[int] = []
        self.thresholds: list[float] = []
        self.modes: list[str] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.missing_left: list[int] = []
        self.leaf_trees: list[int] = []
        self.leaf_ids: list[int] = []
        self.leaf_values: list[float] = []

    def add(self, tree: int, nodes: Any) -> None:
        for index, node in enumerate(nodes):
            leaf = bool(node["is_leaf"])
            if not leaf and node["is_categorical"]:
                raise CannotConvert("categorical splits are not written as a graph yet")
            self.trees.append(tree)
            self.ids.append(index)
            self.features.append(0 if leaf else int(node["feature_idx"]))
            self.thresholds.append(0.0 if leaf else float(node["num_threshold"]))
            self.modes.append("LEAF" if leaf else "BRANCH_LEQ")
            self.left.append(0 if leaf else int(node["left"]))
            self.right.append(0 if leaf else int(node["right"]))
            self.missing_left.append(0 if leaf else int(node["missing_go_to_left"]))
            if leaf:
                self.leaf_trees.append(tree)
                self.leaf_ids.append(index)
                self.leaf_values.append(float(node["value"]))

    def attributes(self) -> dict[str, Any]:
        return {
            "nodes_treeids": self.trees,
            "nodes_nodeids": self.ids,
            "nodes_featureids": self.features,
            "nodes_modes": self.modes,
            "nodes_values_as_tensor": _doubles("thresholds", self.thresholds),
            "nodes_truenodeids": self.left,
            "nodes_falsenodeids": self.right,
            "nodes_missing_value_tracks_true": self.missing_left,
            "target_treeids": self.leaf_trees,
            "target_nodeids": self.leaf_ids,
            "target_ids": [0] * len(self.leaf_ids),
            "target_weights_as_tensor": _doubles("leaves", self.leaf_values),
        }


def _doubles(name: str, values: Any) -> Any:
    array = np.asarray(values, dtype=np.float64)
    return helper.make_tensor(name, TensorProto.DOUBLE, [array.size], array)
