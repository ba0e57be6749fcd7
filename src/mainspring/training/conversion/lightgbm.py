"""LightGBM's trees from its own dump: thresholds in double precision, and three kinds of missing, one a feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert

IDENTITY = frozenset({"regression", "regression_l1", "huber", "fair", "quantile", "mape"})
EXPONENTIAL = frozenset({"poisson", "gamma", "tweedie"})
LOGISTIC = frozenset({"binary", "cross_entropy"})
SOFT = frozenset({"multiclass", "softmax"})
ZERO = float(np.float32(1e-35))  # what is no larger is zero to LightGBM, and it puts splits right there


class LightGbmTrees:
    """The trees, what follows their sum, and how each feature's missing values are meant.

    ``none`` are features that met no missing value in training: LightGBM takes a missing one for zero. ``zero`` are
    features of a model with ``zero_as_missing``: a zero goes where a missing value goes.
    """

    def __init__(self, estimator: Any) -> None:
        dump = estimator.booster_.dump_model()
        if dump["average_output"]:
            raise CannotConvert("a random forest of LightGBM is not written as a graph yet")
        self.last, self.scale = _last(str(dump.get("objective", "")).split())
        self.targets = int(dump["num_tree_per_iteration"])
        self.ensemble = Ensemble("BRANCH_LEQ", double=True, targets=self.targets)
        kinds: dict[int, set[str]] = {}
        for number, tree in enumerate(dump["tree_info"]):
            for id, node, left, right in _numbered(tree["tree_structure"]):
                self._add(number, id, node, left, right, kinds)
        thresholds = self.ensemble.thresholds.values()
        self.splits_at_zero = any(abs(threshold) <= ZERO for found in thresholds for threshold in found)
        self.none = _of("None", kinds)
        self.zero = _of("Zero", kinds)

    def _add(self, tree: int, id: int, node: dict[str, Any], left: int, right: int, kinds: dict[int, set[str]]) -> None:
        if "leaf_value" in node:
            self.ensemble.leaf(tree, id, float(node["leaf_value"]), tree % self.targets)
            return
        if node["decision_type"] != "<=":
            raise CannotConvert("categorical splits are not written as a graph yet")
        kinds.setdefault(node["split_feature"], set()).add(node["missing_type"])
        self.ensemble.branch(
            tree,
            id,
            int(node["split_feature"]),
            float(node["threshold"]),
            left=left,
            right=right,
            missing_left=bool(node["default_left"]),
        )


def _numbered(root: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], int, int]]:
    """Yield every node with its number and its children's; a loop, because trees may be deeper than the stack."""
    waiting, last = [(0, root)], 0
    while waiting:
        id, node = waiting.pop()
        if "leaf_value" in node:
            yield id, node, 0, 0
            continue
        left, right, last = last + 1, last + 2, last + 2
        waiting += [(left, node["left_child"]), (right, node["right_child"])]
        yield id, node, left, right


def _last(objective: list[str]) -> tuple[str, float]:
    name, options = (objective[0], objective[1:]) if objective else ("", [])
    if "sqrt" in options:
        raise CannotConvert("a regression on square roots is not written as a graph yet")
    if name in LOGISTIC:
        sigmoid = next((float(one.partition(":")[2]) for one in options if one.startswith("sigmoid:")), 1.0)
        return "Sigmoid", sigmoid
    if name in SOFT:
        return "Softmax", 1.0
    if name in EXPONENTIAL:
        return "Exp", 1.0
    if name in IDENTITY:
        return "Identity", 1.0
    raise CannotConvert(f"the objective {name or 'of its own'} is not written as a graph yet")


def _of(kind: str, kinds: dict[int, set[str]]) -> list[int]:
    mixed = [feature for feature, found in kinds.items() if len(found) > 1]
    if mixed:
        raise CannotConvert("a feature's missing values mean one thing in one tree and another in the next")
    return sorted(feature for feature, found in kinds.items() if kind in found)
