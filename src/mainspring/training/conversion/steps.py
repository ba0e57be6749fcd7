"""Scikit-learn's transformers as graph nodes: which there are, and those that put others together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mainspring.training.conversion import encoders, numeric
from mainspring.training.conversion.graph import CannotConvert, GraphWriter, Tensor

Step = Callable[[GraphWriter, Any, list[Tensor]], list[Tensor]]


def transform(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    """Return the columns that a fitted transformer makes of ``columns``."""
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
    singles = [graph.taken(tensor, [place]) for tensor in columns for place in range(tensor.width)]
    names = list(getattr(step, "feature_names_in_", ())) or [str(place) for place in range(len(singles))]
    by_name = dict(zip(names, singles, strict=True))
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


def _union(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    if step.transformer_weights:
        raise CannotConvert("a FeatureUnion with weights has no graph nodes here")
    return [tensor for _, part in step.transformer_list for tensor in transform(graph, part, columns)]


def _selection(graph: GraphWriter, step: Any, columns: list[Tensor]) -> list[Tensor]:
    kept = [int(place) for place in step.get_support(indices=True)]
    return [graph.taken(numeric.numbers(graph, columns, step), kept)]


STEPS: dict[str, Step] = {
    "Binarizer": numeric.binarizer,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _union,
    "FunctionTransformer": numeric.function,
    "KBinsDiscretizer": encoders.bins,
    "MaxAbsScaler": numeric.max_abs,
    "MinMaxScaler": numeric.min_max,
    "OneHotEncoder": encoders.one_hot,
    "OrdinalEncoder": encoders.ordinal,
    "PCA": numeric.projection,
    "Pipeline": _pipeline,
    "PolynomialFeatures": numeric.polynomial,
    "RFE": _selection,
    "RFECV": _selection,
    "RobustScaler": numeric.robust,
    "SelectFpr": _selection,
    "SelectFromModel": _selection,
    "SelectKBest": _selection,
    "SelectPercentile": _selection,
    "SimpleImputer": numeric.imputer,
    "StandardScaler": numeric.standard,
    "TargetEncoder": encoders.target,
    "TruncatedSVD": numeric.projection,
    "VarianceThreshold": _selection,
}
