"""Scikit-learn's steps on numbers (scalers, imputers, powers, projections) as graph nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from mainspring.training.conversion.encoders import text_imputer
from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

MOST_POWERS = 5_000
# NumPy's functions of one number that a graph has, too; whatever else a FunctionTransformer calls is code.
_FUNCTIONS: dict[Any, tuple[str, ...]] = {
    np.log1p: ("+1", "Log"),
    np.log: ("Log",),
    np.exp: ("Exp",),
    np.sqrt: ("Sqrt",),
    np.abs: ("Abs",),
    np.square: ("square",),
}


def standard(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``StandardScaler``."""
    mean = step.mean_ if step.with_mean else None
    scale = step.scale_ if step.with_std else None
    return [_scaled(graph, numbers(graph, columns, step), mean, scale)]


def robust(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``RobustScaler``."""
    center = step.center_ if step.with_centering else None
    return [_scaled(graph, numbers(graph, columns, step), center, step.scale_ if step.with_scaling else None)]


def max_abs(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``MaxAbsScaler``."""
    if getattr(step, "clip", False):
        raise CannotConvert("a clipping MaxAbsScaler has no graph nodes here")
    return [_scaled(graph, numbers(graph, columns, step), None, step.scale_)]


def min_max(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``MinMaxScaler``; a missing value stays one, clipped or not."""
    joined = numbers(graph, columns, step)
    name = graph.add("Mul", [joined.name, graph.row(step.scale_)])
    name = graph.add("Add", [name, graph.row(step.min_)])
    if not step.clip:
        return [joined.moved(name, step.scale_, step.min_)]
    low, high = (graph.number(float(bound)) for bound in step.feature_range)
    name = graph.add("Where", [graph.add("Less", [name, low]), low, name])
    return [Tensor(graph.add("Where", [graph.add("Greater", [name, high]), high, name]), joined.width)]


def imputer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``SimpleImputer``, with its indicators where it has some."""
    if any(column.text for column in columns):
        if step.add_indicator:
            raise CannotConvert("an imputer of texts with indicators has no graph nodes here")
        return text_imputer(graph, step, columns)
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise CannotConvert("an imputer for other than NaN has no graph nodes here")
    joined = numbers(graph, columns, step)
    fill = np.asarray(step.statistics_, dtype=np.float64)
    if np.isnan(fill).any():
        raise CannotConvert("an imputer that saw an empty column has no graph nodes here")
    missing = graph.add("IsNaN", [joined.name])
    filled = graph.add("Where", [missing, graph.row(fill), joined.name])
    made = [Tensor(filled, joined.width, origins=joined.origins)]
    if step.add_indicator:
        flags = Tensor(graph.add("Cast", [missing], to=TensorProto.DOUBLE), joined.width)
        made.append(graph.taken(flags, [int(place) for place in step.indicator_.features_]))
    return made


def polynomial(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write ``PolynomialFeatures``: as many rounds of products as the degree is high."""
    joined = numbers(graph, columns, step)
    powers = np.asarray(step.powers_)
    if powers.shape[0] > MOST_POWERS:
        raise CannotConvert(f"{powers.shape[0]} powers are more than are written as a graph")
    factors = [np.repeat(np.arange(powers.shape[1]), row).tolist() for row in powers]
    one = graph.add("Add", [graph.add("Mul", [graph.taken(joined, [0]).name, graph.number(0.0)]), graph.number(1.0)])
    with_one = graph.joined([joined, Tensor(one)])
    made = ""
    for turn in range(max(1, *(len(found) for found in factors))):
        places = [found[turn] if turn < len(found) else joined.width for found in factors]
        taken = graph.taken(with_one, places).name
        made = graph.add("Mul", [made, taken]) if made else taken
    return [Tensor(made, len(factors))]


def projection(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``PCA`` or a ``TruncatedSVD``."""
    name = numbers(graph, columns, step).name
    if getattr(step, "mean_", None) is not None:
        name = graph.add("Sub", [name, graph.row(step.mean_)])
    components = np.asarray(step.components_, dtype=np.float64)
    name = graph.add("MatMul", [name, graph.constant(np.ascontiguousarray(components.T))])
    if getattr(step, "whiten", False):
        name = graph.add("Div", [name, graph.row(np.sqrt(step.explained_variance_))])
    return [Tensor(name, components.shape[0])]


def binarizer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``Binarizer``."""
    joined = numbers(graph, columns, step)
    graph.note(joined, {place: [float(step.threshold)] for place in range(joined.width)})
    above = graph.add("Greater", [joined.name, graph.number(float(step.threshold))])
    return [Tensor(graph.add("Cast", [above], to=TensorProto.DOUBLE), joined.width)]


def function(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``FunctionTransformer`` that changes nothing or calls one of a few functions of NumPy."""
    if step.func is None:
        return columns
    parts = next((parts for known, parts in _FUNCTIONS.items() if step.func is known), None)
    if parts is None or step.kw_args:
        raise CannotConvert("a function of one's own has no graph nodes")
    joined = numbers(graph, columns, step)
    name = joined.name
    for part in parts:
        if part == "+1":
            name = graph.add("Add", [name, graph.number(1.0)])
        else:
            name = graph.add("Mul", [name, name]) if part == "square" else graph.add(part, [name])
    return [Tensor(name, joined.width)]


def numbers(graph: GraphWriter, columns: list[Tensor], step: Any) -> Tensor:
    """Return columns side by side; texts are refused."""
    joined = graph.joined(columns)
    if joined.text:
        raise CannotConvert(f"{type(step).__name__} was fitted on text")
    return joined


def _scaled(graph: GraphWriter, joined: Tensor, center: Any, scale: Any) -> Tensor:
    made = joined
    if center is not None:
        name = graph.add("Sub", [made.name, graph.row(center)])
        made = made.moved(name, np.ones(made.width).tolist(), (-np.asarray(center)).tolist())
    if scale is not None:
        name = graph.add("Div", [made.name, graph.row(scale)])
        made = made.moved(name, (1 / np.asarray(scale)).tolist(), np.zeros(made.width).tolist())
    return made
