"""Scikit-learn's estimators made of estimators (calibrated, voting, stacked, bagged) as graph nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor


class Write(Protocol):
    """Writes an estimator on columns, by the method that is asked for, and returns its answer ``(n, 1)``."""

    def __call__(
        self, graph: GraphWriter, estimator: Any, columns: list[Tensor], method: str, *, sparse: bool = False
    ) -> str:
        """Write it; ``sparse`` says that scikit-learn hands it a sparse matrix."""
        ...


def calibrated(graph: GraphWriter, estimator: Any, columns: list[Tensor], write: Write, *, sparse: bool) -> str:
    """Write a ``CalibratedClassifierCV``: the mean of what its calibrators make of its classifiers' values."""
    found = []
    for one in estimator.calibrated_classifiers_:
        method = "decision_function" if hasattr(one.estimator, "decision_function") else "predict_proba"
        (calibrator,) = one.calibrators
        found.append(_calibrated(graph, calibrator, write(graph, one.estimator, columns, method, sparse=sparse)))
    return weighted(graph, found, None)


def _calibrated(graph: GraphWriter, calibrator: Any, value: str) -> str:
    name = type(calibrator).__name__
    if name == "_SigmoidCalibration":
        raw = graph.add("Mul", [value, graph.number(-float(calibrator.a_))])
        return graph.add("Sigmoid", [graph.add("Add", [raw, graph.number(-float(calibrator.b_))])])
    if name == "IsotonicRegression":
        return _between(graph, calibrator.X_thresholds_, calibrator.y_thresholds_, value)
    raise CannotConvert(f"calibration by {name} is not written as a graph yet")


def _between(graph: GraphWriter, places: Any, heights: Any, value: str) -> str:
    """Interpolate between the places, and go on level beyond them: the sum of what is climbed in each gap."""
    places, heights = np.asarray(places, dtype=np.float64), np.asarray(heights, dtype=np.float64)
    start = graph.number(float(heights[0]))
    if len(places) < 2:
        return graph.add("Add", [graph.add("Mul", [value, graph.number(0.0)]), start])
    gaps = np.diff(places)
    share = graph.add("Div", [graph.add("Sub", [value, graph.row(places[:-1])]), graph.row(gaps)])
    low, high = graph.number(0.0), graph.number(1.0)
    share = graph.add("Where", [graph.add("Less", [share, low]), low, share])
    share = graph.add("Where", [graph.add("Greater", [share, high]), high, share])
    climbed = graph.add("MatMul", [share, graph.constant(np.diff(heights).reshape(-1, 1))])
    return graph.add("Add", [climbed, start])


def voting(
    graph: GraphWriter, estimator: Any, columns: list[Tensor], write: Write, method: str, *, sparse: bool
) -> str:
    """Write a soft ``VotingClassifier`` or a ``VotingRegressor``."""
    found = [write(graph, one, columns, method, sparse=sparse) for one in estimator.estimators_]
    return weighted(graph, found, estimator._weights_not_none)


def bagged(
    graph: GraphWriter, estimator: Any, columns: list[Tensor], write: Write, method: str, *, sparse: bool
) -> str:
    """Write a ``Bagging…``: the mean of estimators, each on some of the columns."""
    joined = graph.joined(columns)
    found = []
    for one, places in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        if method == "predict_proba" and not hasattr(one, "predict_proba"):
            raise CannotConvert("votes of classifiers without probabilities are not written as a graph yet")
        some = [graph.taken(joined, [int(place) for place in places])]
        found.append(write(graph, one, some, method, sparse=sparse))
    return weighted(graph, found, None)


def stacked(
    graph: GraphWriter, estimator: Any, columns: list[Tensor], write: Write, method: str, *, sparse: bool
) -> str:
    """Write a ``StackingClassifier`` or a ``StackingRegressor``: the last estimator on the others' answers."""
    found = []
    for one, asked in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        if one == "drop":
            continue
        if asked == "predict" and method == "predict_proba":
            raise CannotConvert("stacked classes without probabilities are not written as a graph yet")
        found.append(Tensor(write(graph, one, columns, asked, sparse=sparse)))
    if estimator.passthrough:
        found += columns
    still_sparse = sparse and estimator.passthrough
    return write(graph, estimator.final_estimator_, [graph.joined(found)], method, sparse=still_sparse)


def weighted(graph: GraphWriter, values: Sequence[str], weights: Sequence[float] | None) -> str:
    """Return the mean of answers ``(n, 1)``, each with its weight."""
    if len(values) == 1:
        return values[0]
    by = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    side_by_side = graph.add("Concat", list(values), axis=1)
    return graph.add("MatMul", [side_by_side, graph.constant((by / by.sum()).reshape(-1, 1))])
