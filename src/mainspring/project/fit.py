"""Do the declarations fit the data? Checked once the sources were inspected and their columns are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from mainspring.features.spec import Feature, SourceSpec, ViewSpec
from mainspring.kernel.errors import InvalidInput, nearest, shorten
from mainspring.kernel.schema import Column, Kind
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.registry.model import ModelSpec

FOR_PROBABILITIES = ("log_loss", "brier", "error")
FOR_NUMBERS = ("absolute_error", "squared_error")
_JUDGES_CLASSES = {
    "release": FOR_PROBABILITIES,
    "checks": (*FOR_PROBABILITIES, "roc_auc", "accuracy", "f1"),
    "monitors": ("log_loss", "brier"),
}
_TYPES: dict[Kind, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "str": pl.String(),
    "time": pl.Datetime("us", "UTC"),
}


def misfits(revision: Revision) -> list[InvalidInput]:
    """Return every fault of a revision against the columns of its sources; sources without columns are let through."""
    sources = {source.name: source for source in revision.sources if source.columns}
    faults: list[InvalidInput] = []
    for view in revision.views:
        if view.source in sources:
            faults.extend(_view(view, sources[view.source]))
    for entry in revision.models:
        faults.extend(_model(entry.spec, sources))
        faults.extend(_slices(entry))
        faults.extend(_metrics(entry))
    return faults


def with_columns(revision: Revision, sources: Sequence[SourceSpec]) -> Revision:
    """Return the revision with the inspected sources and each model's request columns with their kinds."""
    known = {source.name: {column.name: column for column in source.columns} for source in sources}
    models = [
        msgspec.structs.replace(entry, spec=_requested(entry.spec, known.get(entry.spec.source, {})))
        for entry in revision.models
    ]
    return msgspec.structs.replace(revision, sources=tuple(sources), models=tuple(models))


def request_columns(model: ModelSpec) -> tuple[str, ...]:
    """Return what a request carries: entity, keys and inputs, each once."""
    return tuple(dict.fromkeys((model.entity, *model.keys, *model.inputs)))


def _requested(model: ModelSpec, known: Mapping[str, Column]) -> ModelSpec:
    columns = tuple(known[name] for name in request_columns(model) if name in known)
    identity = {model.entity, *model.keys}
    strict = tuple(msgspec.structs.replace(c, nullable=c.nullable and c.name not in identity) for c in columns)
    return msgspec.structs.replace(model, columns=strict)


def _view(view: ViewSpec, source: SourceSpec) -> Iterator[InvalidInput]:
    place = f"FeatureView({view.name!r})"
    for name in view.key:
        yield from _missing(f"{place}.key", name, source)
    for feature in view.features:
        yield from _feature(f"{place}.{feature.name}", feature, source)


def _feature(field: str, feature: Feature, source: SourceSpec) -> Iterator[InvalidInput]:
    if feature.column is not None:
        yield from _missing(field, feature.column, source)
        kind = _kind(source, feature.column)
        if feature.kind == "mean" and kind not in ("int", "float", "bool", None):
            yield InvalidInput(f"a column of kind {kind} has no mean", field=field, value=feature.column)
        if feature.kind == "last" and kind == "time":
            yield InvalidInput("a time cannot be a feature", field=field, value=feature.column)
    if feature.condition is not None:
        yield from _expression(field, feature.condition, source, "bool")


def _model(model: ModelSpec, sources: Mapping[str, SourceSpec]) -> Iterator[InvalidInput]:
    place = f"Model({model.name!r})"
    rows = sources.get(model.source)
    if rows is not None:
        for field, names in (("entity", (model.entity,)), ("keys", model.keys), ("inputs", model.inputs)):
            for name in names:
                yield from _missing(f"{place}.{field}", name, rows)
                if _kind(rows, name) == "time":
                    yield InvalidInput("a time cannot be asked with", field=f"{place}.{field}", value=name)
        yield from _missing(f"{place}.predict_at", model.predict_at.column, rows)
        if _kind(rows, model.predict_at.column) not in ("time", None):
            yield InvalidInput("is not a time", field=f"{place}.predict_at", value=model.predict_at.column)
    outcomes = sources.get(model.outcome.source)
    if outcomes is not None:
        yield from _missing(f"{place}.outcome", model.entity, outcomes)
        yield from _expression(f"{place}.outcome", model.outcome.expression, outcomes, model.outcome.kind)
        yield from _told_in_advance(place, model)


def _told_in_advance(place: str, model: ModelSpec) -> Iterator[InvalidInput]:
    if model.source != model.outcome.source:
        return
    try:
        told = pl.sql_expr(model.outcome.expression).meta.root_names() if model.outcome.expression else []
    except PolarsError:
        return  # told by the check of references
    for name in request_columns(model):
        if name in told and name != model.entity:
            what = "is what the outcome is made of, so nobody knows it when the model is asked"
            yield InvalidInput(what, field=f"{place}.inputs", value=name, remedy="take it out of inputs")


def _slices(entry: ModelEntry) -> Iterator[InvalidInput]:
    carried = request_columns(entry.spec)
    for check in entry.checks:
        column = check.get("column")
        if column is not None and column not in carried:
            field = f"Model({entry.spec.name!r}).checks.{check.get('type', 'slices')}"
            yield InvalidInput(
                "is not a column of the request", field=field, value=column, remedy=nearest(column, carried)
            )


def _metrics(entry: ModelEntry) -> Iterator[InvalidInput]:
    """Yield a fault for each metric of the release or a monitor that cannot judge answers of the model's task."""
    named = [("release", entry.release or {}), *((f"monitors.{m.get('type', '')}", m) for m in entry.monitors)]
    if entry.spec.outcome.kind == "class":
        yield from _of_classes(entry, named)
        return
    numbers = entry.spec.outcome.kind == "float"
    for field, part in named:
        metric = part.get("metric")
        place = f"Model({entry.spec.name!r}).{field}"
        if numbers and metric in FOR_PROBABILITIES:
            remedy = "use absolute_error or squared_error"
            what = "judges probabilities, not numbers"
            yield InvalidInput(what, field=f"{place}.metric", value=metric, remedy=remedy)
        elif metric in FOR_NUMBERS and part.get("bound") is None and field != "release":
            remedy = "say the greatest loss that one answer may count for, such as bound=100"
            yield InvalidInput(f"{metric} has no bound of its own", field=f"{place}.bound", remedy=remedy)
    if numbers and entry.release is None:
        remedy = "such as release=ms.Canary(metric='absolute_error', bound=100, margin=1)"
        place = f"Model({entry.spec.name!r}).release"
        yield InvalidInput("must be given: the default judges probabilities", field=place, remedy=remedy)


def _of_classes(entry: ModelEntry, named: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[InvalidInput]:
    """Yield a fault for whatever judges amounts, where what comes true is a class."""
    place = f"Model({entry.spec.name!r})"
    checks = [(f"checks.{check.get('type', '')}", check) for check in entry.checks]
    for field, part in [*named, *checks]:
        known = _JUDGES_CLASSES[field.partition(".")[0]]
        metric = part.get("metric")
        if metric is not None and metric not in known:
            remedy = f"use {' or '.join(known)}"
            yield InvalidInput(
                "judges numbers, not classes", field=f"{place}.{field}.metric", value=metric, remedy=remedy
            )
    policy = entry.release or {}
    rewards = [one.get("type") for name in ("metrics", "guards") for one in policy.get(name) or ()]
    if policy.get("type") in ("ab_test", "bandit") or "reward" in rewards:
        remedy = "judge by log_loss, brier or error"
        yield InvalidInput("rewards an amount, and a class is none", field=f"{place}.release", remedy=remedy)


def _missing(field: str, name: str, source: SourceSpec) -> Iterator[InvalidInput]:
    names = [column.name for column in source.columns]
    if name and name not in names:
        what = f"is not a column of the source {source.name}"
        yield InvalidInput(what, field=field, value=name, remedy=nearest(name, names))


def _kind(source: SourceSpec, name: str) -> Kind | None:
    return next((column.kind for column in source.columns if column.name == name), None)


def _expression(field: str, expression: str, source: SourceSpec, kind: str) -> Iterator[InvalidInput]:
    try:
        parsed = pl.sql_expr(expression)
    except PolarsError:
        return  # told by the check of references
    unknown = [fault for name in parsed.meta.root_names() for fault in _missing(field, name, source)]
    yield from unknown
    if unknown:
        return
    schema = {column.name: _TYPES[column.kind] for column in source.columns}
    try:
        made = pl.DataFrame(schema=schema).select(made=parsed).schema["made"]
    except PolarsError as error:
        reason = shorten(str(error).splitlines()[0], 160)[1:-1]
        yield InvalidInput(f"cannot be computed: {reason}", field=field, value=expression)
        return
    if kind == "bool" and made != pl.Boolean:
        remedy = "compare with something, such as 'arr_delay > 15'"
        yield InvalidInput("is not a condition", field=field, value=expression, remedy=remedy)
    if kind == "class" and not (made.is_integer() or made in (pl.String, pl.Boolean)):
        remedy = "give a text, a whole number or a truth value"
        yield InvalidInput("is no class", field=field, value=expression, remedy=remedy)
    if kind == "float" and not made.is_numeric():
        yield InvalidInput("is not a number", field=field, value=expression)
