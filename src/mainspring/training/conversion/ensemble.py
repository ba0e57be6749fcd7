"""Decision trees of any library as the nodes of one ``TreeEnsembleRegressor``, in single or double precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper

from mainspring.training.conversion.graph import GraphWriter

Mode = Literal["BRANCH_LEQ", "BRANCH_LT"]


class Ensemble:
    """Collects nodes tree by tree; a value that is missing takes the side that its node states.

    Doubles keep the thresholds of libraries that compare in double precision; XGBoost compares in single precision.
    """

    def __init__(self, mode: Mode, *, double: bool, targets: int = 1) -> None:
        self._mode = mode
        self._count = targets
        self._double = double
        self.thresholds: dict[int, list[float]] = {}
        self._trees: list[int] = []
        self._ids: list[int] = []
        self._features: list[int] = []
        self._values: list[float] = []
        self._modes: list[str] = []
        self._left: list[int] = []
        self._right: list[int] = []
        self._missing_left: list[int] = []
        self._leaf_trees: list[int] = []
        self._leaf_ids: list[int] = []
        self._leaf_values: list[float] = []
        self._targets: list[int] = []

    def branch(
        self, tree: int, id: int, feature: int, threshold: float, *, left: int, right: int, missing_left: bool
    ) -> None:
        """Add a split: values at most (or below) ``threshold`` go left."""
        self._node(tree, id, feature, threshold, self._mode, left, right, missing_left)
        self.thresholds.setdefault(feature, []).append(threshold)

    def leaf(self, tree: int, id: int, value: float, target: int = 0) -> None:
        """Add what a row that ends here adds to the sum of a target."""
        self._node(tree, id, 0, 0.0, "LEAF", 0, 0, False)
        self._leaf_trees.append(tree)
        self._leaf_ids.append(id)
        self._leaf_values.append(value)
        self._targets.append(target)

    def write(self, graph: GraphWriter, inputs: str, base: Sequence[float]) -> str:
        """Append the ensemble to ``graph``; return its sums ``(n, targets)`` as doubles, which begin with ``base``."""
        attributes: dict[str, Any] = {
            "nodes_treeids": self._trees,
            "nodes_nodeids": self._ids,
            "nodes_featureids": self._features,
            "nodes_modes": self._modes,
            "nodes_truenodeids": self._left,
            "nodes_falsenodeids": self._right,
            "nodes_missing_value_tracks_true": self._missing_left,
            "target_treeids": self._leaf_trees,
            "target_nodeids": self._leaf_ids,
            "target_ids": self._targets,
            **self._numbers("nodes_values", self._values),
            **self._numbers("target_weights", self._leaf_values),
            **self._numbers("base_values", base),
        }
        kind = TensorProto.DOUBLE if self._double else TensorProto.FLOAT
        fed = graph.add("Cast", [inputs], to=kind) if not self._double else inputs
        total = graph.add(
            "TreeEnsembleRegressor",
            [fed],
            domain="ai.onnx.ml",
            n_targets=self._count,
            aggregate_function="SUM",
            **attributes,
        )
        return graph.add("Cast", [total], to=TensorProto.DOUBLE)

    def _numbers(self, name: str, values: Sequence[float]) -> dict[str, Any]:
        if not self._double:
            return {name: [float(value) for value in np.asarray(values, dtype=np.float32)]}
        array = np.asarray(values, dtype=np.float64)
        return {f"{name}_as_tensor": helper.make_tensor(name, TensorProto.DOUBLE, [array.size], array)}

    def _node(
        self, tree: int, id: int, feature: int, value: float, mode: str, left: int, right: int, missing_left: bool
    ) -> None:
        self._trees.append(tree)
        self._ids.append(id)
        self._features.append(feature)
        self._values.append(value)
        self._modes.append(mode)
        self._left.append(left)
        self._right.append(right)
        self._missing_left.append(int(missing_left))
