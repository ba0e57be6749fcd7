"""Scikit-learn's column steps (encoders, scalers, imputers, column transformers, pipelines) as graph nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

Step = Callable[[GraphWriter, Any, list[Tensor]], list[Tensor]]
MISSING = ""  # a missing text reaches a graph as the empty string


def transform(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Return the columns that a fitted transformer makes of ``columns`` (one tensor a column)."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return columns
    if isinstance(step, str) and step == "drop":
        return []
    writer = STEPS.get(type(step).__name__)
    if writer is None or not type(step).__module__.startswith("sklearn."):
        raise CannotConvert(f"{type(step).__name__} has no graph nodes here")
    return writer(graph, step, columns)


def _pipeline(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    for _, part in step.steps:
        columns = transform(graph, part, columns)
    return columns


def _column_transformer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    names = list(getattr(step, "feature_names_in_", ())) or [column.name for column in columns]
    by_name = dict(zip(names, columns, strict=True))
    made: list[Tensor] = []
    for _, part, chosen in step.transformers_:
        made += transform(graph, part, [by_name[name] for name in _chosen(chosen, names)])
    return made


def _chosen(chosen: Any, names: Sequence[str]) -> list[str]:
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            raise CannotConvert("a slice of column names has no graph nodes here")
        return list(names[chosen])
    listed = np.atleast_1d(np.asarray(chosen))
    if listed.dtype == bool:
        return [name for name, keep in zip(names, listed, strict=True) if keep]
    return [str(one) if isinstance(one, str) else names[int(one)] for one in listed.tolist()]


def _ordinal(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    if step.handle_unknown != "use_encoded_value":
        raise CannotConvert(
            "an OrdinalEncoder that raises for unknown categories cannot be a graph",
            remedy='give it handle_unknown="use_encoded_value"',
        )
    if getattr(step, "_infrequent_enabled", False):
        raise CannotConvert("grouped infrequent categories have no graph nodes here")
    made = []
    for column, categories in zip(columns, step.categories_, strict=True):
        codes = {
            _key(category, column): float(step.encoded_missing_value) if _is_missing(category) else float(code)
            for code, category in enumerate(categories)
        }
        made.append(_lookup(graph, column, codes, float(step.unknown_value)))
    return made


def _one_hot(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    if step.handle_unknown != "ignore":
        raise CannotConvert(
            "a OneHotEncoder that raises for unknown categories cannot be a graph",
            remedy='give it handle_unknown="ignore"',
        )
    if getattr(step, "_infrequent_enabled", False):
        raise CannotConvert("grouped infrequent categories have no graph nodes here")
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(columns)
    made = []
    for column, categories, drop in zip(columns, step.categories_, dropped, strict=True):
        code = _lookup(graph, column, {_key(one, column): float(i) for i, one in enumerate(categories)}, -1.0)
        kept = [float(i) for i in range(len(categories)) if drop is None or i != drop]
        levels = graph.constant(np.asarray([kept], dtype=np.float64))
        same = graph.add("Equal", [code.name, levels])
        made.append(Tensor(graph.add("Cast", [same], to=TensorProto.DOUBLE), len(kept)))
    return made


def _scaler(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    joined = _numbers(graph, columns, step)
    name = joined.name
    if getattr(step, "mean_", None) is not None and step.with_mean:
        name = graph.add("Sub", [name, graph.constant(np.asarray([step.mean_], dtype=np.float64))])
    if getattr(step, "scale_", None) is not None and step.with_std:
        name = graph.add("Div", [name, graph.constant(np.asarray([step.scale_], dtype=np.float64))])
    return [Tensor(name, joined.width)]


def _min_max(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    joined = _numbers(graph, columns, step)
    name = graph.add("Mul", [joined.name, graph.constant(np.asarray([step.scale_], dtype=np.float64))])
    name = graph.add("Add", [name, graph.constant(np.asarray([step.min_], dtype=np.float64))])
    if step.clip:
        raise CannotConvert("a clipping MinMaxScaler has no graph nodes here")
    return [Tensor(name, joined.width)]


def _imputer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    if step.add_indicator:
        raise CannotConvert("an imputer with indicators has no graph nodes here")
    if any(column.text for column in columns):
        return _text_imputer(graph, step, columns)
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise CannotConvert("an imputer for other than NaN has no graph nodes here")
    joined = _numbers(graph, columns, step)
    fill = np.asarray([step.statistics_], dtype=np.float64)
    if np.isnan(fill).any():
        raise CannotConvert("an imputer that saw an empty column has no graph nodes here")
    missing = graph.add("IsNaN", [joined.name])
    return [Tensor(graph.add("Where", [missing, graph.constant(fill), joined.name]), joined.width)]


def _text_imputer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    made = []
    for column, fill in zip(columns, step.statistics_, strict=True):
        missing = graph.add("Equal", [column.name, graph.constant(np.asarray([[MISSING]], dtype=object))])
        filled = graph.constant(np.asarray([[str(fill)]], dtype=object))
        made.append(Tensor(graph.add("Where", [missing, filled, column.name]), text=True))
    return made


def _numbers(graph: GraphWriter, columns: list[Tensor], step: Any) -> Tensor:
    joined = graph.joined(columns)
    if joined.text:
        raise CannotConvert(f"{type(step).__name__} was fitted on text")
    return joined


def _lookup(graph: GraphWriter, column: Tensor, codes: dict[Any, float], default: float) -> Tensor:
    values = helper.make_tensor("values", TensorProto.DOUBLE, [len(codes)], list(codes.values()))
    otherwise = helper.make_tensor("default", TensorProto.DOUBLE, [1], [default])
    kind = TensorProto.STRING if column.text else TensorProto.DOUBLE
    spelled = [key.encode() for key in codes] if column.text else list(codes)
    keys = helper.make_tensor("keys", kind, [len(codes)], spelled)
    name = graph.add(
        "LabelEncoder",
        [column.name],
        domain="ai.onnx.ml",
        keys_tensor=keys,
        values_tensor=values,
        default_tensor=otherwise,
    )
    return Tensor(name)


def _key(category: Any, column: Tensor) -> Any:
    if column.width != 1:
        raise CannotConvert("an encoder after a joined step has no graph nodes here")
    if column.text:
        return MISSING if _is_missing(category) else str(category)
    return float(category) if category is not None else float("nan")


def _is_missing(category: Any) -> bool:
    return category is None or (isinstance(category, float) and np.isnan(category))


def _function(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    if step.func is not None:
        raise CannotConvert("a function of one's own has no graph nodes")
    return columns


STEPS: dict[str, Step] = {
    "FunctionTransformer": _function,
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "OrdinalEncoder": _ordinal,
    "OneHotEncoder": _one_hot,
    "StandardScaler": _scaler,
    "MinMaxScaler": _min_max,
    "SimpleImputer": _imputer,
}
