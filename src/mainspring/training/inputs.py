"""What a trained model sees: the columns of its frame, their names and kinds, as one signature.

The columns are the recipe's inputs under their own names, then each feature under its short name; where two views
(or a view and an input) share a name, ``view_feature`` is used for all of them. A trainer also gets ``label``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import NO_CLASS, Floats, places
from mainspring.features.spec import Feature, SourceSpec, ViewSpec
from mainspring.kernel.classes import checked_classes, class_texts
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.schema import Column, Kind, Signature
from mainspring.registry.model import ModelSpec, Recipe

LABEL = "label"


class BoundSpec:
    """A view with the source it reads."""

    __slots__ = ("source", "view")

    def __init__(self, view: ViewSpec, source: SourceSpec) -> None:
        self.view = view
        self.source = source


def signature_of(model: ModelSpec, recipe: Recipe, views: Sequence[BoundSpec]) -> Signature:
    """Return the signature of versions that the recipe makes; ``views`` are the recipe's, in its order."""
    declared = {column.name: column for column in model.columns}
    asked = recipe.inputs or (*model.keys, *model.inputs)
    for name in asked:
        if name not in declared:
            place = f"{model.name}.{recipe.name}.inputs"
            raise InvalidInput("a request does not carry it", field=place, value=name, remedy=nearest(name, declared))
    inputs = [declared[name] for name in asked]
    features: dict[str, str] = {}
    for name, bound, feature in _named(asked, views):
        features[name] = f"{bound.view.name}.{feature.name}"
        inputs.append(_column(name, feature, bound.source))
    if LABEL in {column.name for column in inputs}:
        raise InvalidInput("is the name of what comes true", field=f"{model.name}.inputs", value=LABEL)
    return Signature(
        task=model.task, inputs=tuple(inputs), requested=model.columns, features=features, classes=model.classes
    )


def model_frame(rows: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Return the signature's columns, in order and in their kinds, from a frame with ``view.feature`` columns."""
    chosen = [
        pl.col(signature.features.get(column.name, column.name)).cast(_DTYPES[column.kind]).alias(column.name)
        for column in signature.inputs
    ]
    return rows.select(chosen)


def labels_of(rows: pl.DataFrame, signature: Signature) -> pl.Series:
    """Return what came true as a trainer is given it: 0 and 1, numbers, or the classes themselves."""
    label = rows.get_column(LABEL)
    if signature.task != "multiclass":
        return label.cast(pl.Int64 if signature.task == "binary" else pl.Float64)
    if label.dtype.is_integer():
        return label.cast(pl.Int64)
    return label if label.dtype == pl.Boolean else label.cast(pl.String)


def truth_of(rows: pl.DataFrame, signature: Signature) -> Floats:
    """Return what came true as numbers (n,): of a class its place among the signature's."""
    label = labels_of(rows, signature)
    if signature.task != "multiclass":
        return label.cast(pl.Float64).to_numpy()
    return places(class_texts(label.to_list()), class_texts(signature.classes)).astype(np.float64)


def with_classes(signature: Signature, rows: pl.DataFrame, place: str) -> Signature:
    """Return the signature with the classes that came true, sorted, where the model declares none.

    Where it declares some, an outcome that is none of them is refused: its author alone knows what to make of it.
    """
    if signature.task != "multiclass":
        return signature
    if not signature.classes:
        learnt = sorted(labels_of(rows, signature).unique().to_list())
        return msgspec.structs.replace(signature, classes=checked_classes(learnt, f"{place}.classes"))
    unknown = truth_of(rows, signature) == NO_CLASS
    if unknown.any():
        first = labels_of(rows, signature)[int(unknown.argmax())]
        what = f"{int(unknown.sum())} outcomes are none of the declared classes"
        remedy = "declare that class too, or let the outcome's expression make one of the declared of it"
        raise InvalidInput(what, field=f"{place}.classes", value=first, remedy=remedy)
    return signature


def to_pandas(frame: pl.DataFrame) -> Any:
    """Return a frame as pandas shows it to user code: numbers with gaps are float64, missing text is NaN."""
    import pandas

    return pandas.DataFrame({name: _series(frame.get_column(name)) for name in frame.columns})


def _series(column: pl.Series) -> Any:
    import pandas

    if column.dtype == pl.Datetime:
        return pandas.to_datetime(pandas.Series(column.dt.epoch("us").to_list()), unit="us", utc=True)
    if column.dtype == pl.Float64 or (column.dtype == pl.Int64 and column.null_count()):
        return pandas.Series(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    if column.dtype == pl.String or column.null_count():
        return pandas.Series(column.to_list())
    return pandas.Series(column.to_numpy())


def _named(asked: Sequence[str], views: Sequence[BoundSpec]) -> list[tuple[str, BoundSpec, Feature]]:
    pairs = [(bound, feature) for bound in views for feature in bound.view.features]
    taken = Counter([*asked, *(feature.name for _, feature in pairs)])
    return [
        (feature.name if taken[feature.name] == 1 else f"{bound.view.name}_{feature.name}", bound, feature)
        for bound, feature in pairs
    ]


def _column(name: str, feature: Feature, source: SourceSpec) -> Column:
    kind: Kind = "float"
    if feature.kind == "count":
        return Column(name, "int")
    if feature.kind == "last":
        kind = next((column.kind for column in source.columns if column.name == feature.column), "float")
    return Column(name, kind, nullable=True)


_DTYPES: dict[Kind, Any] = {
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
    "str": pl.String,
    "time": pl.Datetime("us", "UTC"),
}
