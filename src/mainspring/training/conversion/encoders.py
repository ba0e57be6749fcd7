"""Scikit-learn's encoders of categories, and its bins, as graph nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

MISSING = ""  # a missing text reaches a graph as the empty string


def ordinal(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write an ``OrdinalEncoder``."""
    if step.handle_unknown != "use_encoded_value":
        raise CannotConvert(
            "an OrdinalEncoder that raises for unknown categories cannot be a graph",
            remedy='give it handle_unknown="use_encoded_value"',
        )
    if getattr(step, "_infrequent_enabled", False):
        raise CannotConvert("an OrdinalEncoder that groups infrequent categories has no graph nodes here")
    made = []
    for column, categories in zip(_singles(graph, columns), step.categories_, strict=True):
        codes = {
            _key(category, column): float(step.encoded_missing_value) if _is_missing(category) else float(code)
            for code, category in enumerate(categories)
        }
        made.append(_lookup(graph, column, codes, float(step.unknown_value)))
    return made


def one_hot(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``OneHotEncoder``; infrequent categories that it groups have one column."""
    if step.handle_unknown not in ("ignore", "infrequent_if_exist"):
        raise CannotConvert(
            "a OneHotEncoder that raises for unknown categories cannot be a graph",
            remedy='give it handle_unknown="ignore"',
        )
    grouped = bool(getattr(step, "_infrequent_enabled", False))
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(step.categories_)
    if grouped and step.drop_idx_ is not None:
        raise CannotConvert("a OneHotEncoder that both groups and drops categories has no graph nodes here")
    made = []
    for place, (column, categories) in enumerate(zip(_singles(graph, columns), step.categories_, strict=True)):
        mapping = step._default_to_infrequent_mappings[place] if grouped else None
        places = range(len(categories)) if mapping is None else mapping.tolist()
        unknown = -1.0
        if mapping is not None and step.handle_unknown == "infrequent_if_exist":
            unknown = float(max(places))  # the group of infrequent ones comes last
        codes = {_key(one, column): float(code) for one, code in zip(categories, places, strict=True)}
        drop = dropped[place]
        kept = [float(code) for code in range(max(places) + 1) if drop is None or code != drop]
        made.append(_levels(graph, _lookup(graph, column, codes, unknown), kept))
    return made


def target(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``TargetEncoder``: each category's mean; an unknown one has the mean of all."""
    if step.target_type_ not in ("binary", "continuous"):
        raise CannotConvert("a TargetEncoder of more than two classes is not written as a graph yet")
    made = []
    for column, categories, means in zip(_singles(graph, columns), step.categories_, step.encodings_, strict=True):
        codes = {_key(one, column): float(mean) for one, mean in zip(categories, means, strict=True)}
        made.append(_lookup(graph, column, codes, float(step.target_mean_)))
    return made


def bins(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``KBinsDiscretizer``: how many of its inner edges a value has reached."""
    joined = graph.joined(columns)
    if joined.text:
        raise CannotConvert("KBinsDiscretizer was fitted on text")
    made = []
    for place, edges in enumerate(step.bin_edges_):
        column = graph.taken(joined, [place])
        inner = np.asarray(edges[1:-1], dtype=np.float64)
        graph.note(column, {0: inner.tolist()})
        reached = graph.add("GreaterOrEqual", [column.name, graph.row(inner)])
        summed = graph.add("ReduceSum", [graph.add("Cast", [reached], to=TensorProto.DOUBLE), _axis(graph)], keepdims=1)
        code = Tensor(summed)
        levels = [float(one) for one in range(int(step.n_bins_[place]))]
        made.append(code if step.encode == "ordinal" else _levels(graph, code, levels))
    return made


def text_imputer(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Write a ``SimpleImputer`` that was fitted on text."""
    made = []
    for column, fill in zip(_singles(graph, columns), step.statistics_, strict=True):
        missing = graph.add("Equal", [column.name, graph.constant(np.asarray([[MISSING]], dtype=object))])
        filled = graph.constant(np.asarray([[str(fill)]], dtype=object))
        made.append(Tensor(graph.add("Where", [missing, filled, column.name]), text=True))
    return made


def _axis(graph: GraphWriter) -> str:
    return graph.constant(np.asarray([1], dtype=np.int64))


def _levels(graph: GraphWriter, code: Tensor, kept: Sequence[float]) -> Tensor:
    same = graph.add("Equal", [code.name, graph.row(kept)])
    return Tensor(graph.add("Cast", [same], to=TensorProto.DOUBLE), len(kept))


def _singles(graph: GraphWriter, columns: list[Tensor]) -> list[Tensor]:
    """Return the columns one by one, whatever stood side by side."""
    return [graph.taken(tensor, [place]) for tensor in columns for place in range(tensor.width)]


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
    if column.text:
        return MISSING if _is_missing(category) else str(category)
    return float(category) if category is not None else float("nan")


def _is_missing(category: Any) -> bool:
    return category is None or (isinstance(category, float) and np.isnan(category))
