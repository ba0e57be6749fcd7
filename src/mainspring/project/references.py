"""Do the declarations fit one another? What needs no data: names, keys, expressions."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

import polars as pl
from polars.exceptions import PolarsError

from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.errors import InvalidInput, nearest, shorten
from mainspring.project.collection import fault
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.registry.model import ModelSpec

MONITORS = ("drift", "quality", "health", "silence")


def check_references(revision: Revision, broken: Collection[str] = ()) -> None:
    """Note a fault for every name that nothing declares; names of broken declarations are let through."""
    sources = [*(source.name for source in revision.sources), *broken]
    for view in revision.views:
        _view(view, sources)
    for entry in revision.models:
        _model(entry.spec, revision, sources, broken)
        _personal(entry.spec, revision, f"Model({entry.spec.name!r})")
        _triggers(entry)
    for source in revision.sources:
        _sealed_source(source, revision.views)
    _extra(revision)


def columns_of(expression: str) -> list[str]:
    """Return the columns that a Polars SQL expression reads; raise InvalidInput if it cannot be read."""
    try:
        return pl.sql_expr(expression).meta.root_names()
    except PolarsError as error:
        reason = shorten(str(error).splitlines()[0], 160)[1:-1]
        remedy = "write it like 'arr_delay > 15'"
        raise InvalidInput(f"cannot be read: {reason}", value=expression, remedy=remedy) from None


def check_expression(field: str, expression: str) -> None:
    """Note a fault if an expression cannot be read."""
    try:
        columns_of(expression)
    except InvalidInput as error:
        fault(error.what, field=field, value=expression, remedy=error.remedy)


def _view(view: ViewSpec, sources: Collection[str]) -> None:
    place = f"FeatureView({view.name!r})"
    if view.source and view.source not in sources:
        remedy = nearest(view.source, sources)
        fault("no source has this name", field=f"{place}.source", value=view.source, remedy=remedy)
    called = [feature.name for feature in view.features]
    for name in sorted({name for name in called if called.count(name) > 1}):
        fault("two features have this name", field=f"{place}.features", value=name, remedy="give one of them name=…")
    for feature in view.features:
        if feature.condition is not None:
            check_expression(f"{place}.{feature.name}", feature.condition)


def _model(model: ModelSpec, revision: Revision, sources: Collection[str], broken: Collection[str]) -> None:
    place = f"Model({model.name!r})"
    for field, name in (("source", model.source), ("outcome.source", model.outcome.source)):
        if name and name not in sources:
            fault("no source has this name", field=f"{place}.{field}", value=name, remedy=nearest(name, sources))
    if model.outcome.expression:
        check_expression(f"{place}.outcome", model.outcome.expression)
    _request(model, place)
    views = [*(view.name for view in revision.views), *broken]
    for field, names in _feature_lists(model):
        for name in names:
            if name not in views:
                fault("no view has this name", field=f"{place}.{field}", value=name, remedy=nearest(name, views))
            _view_key(place, field, model, revision.view(name))


def _personal(model: ModelSpec, revision: Revision, place: str) -> None:
    carried = (model.entity, *model.keys, *model.inputs)
    for name in model.pii:
        if name not in carried:
            remedy = nearest(name, carried)
            fault("is not a column of the request", field=f"{place}.pii", value=name, remedy=remedy)
        elif name in (model.subject, model.entity, model.unit):
            remedy = "leave it out: names of subjects, entities and units are replaced when a subject is erased"
            fault("names rows, so it cannot be sealed", field=f"{place}.pii", value=name, remedy=remedy)
    if model.pii and not model.subject:
        fault("needs a subject whose key seals it", field=f"{place}.pii", remedy="say subject='column'")
    for source in revision.sources:
        for name in source.pii if source.name in (model.source, model.outcome.source) else ():
            if name in (*carried, *columns_of(model.outcome.expression or "true")):
                remedy = (
                    f"leave it out of Source({source.name!r}).pii: rows of an erased subject are removed all the same"
                )
                fault("is needed to train, so it cannot be sealed", field=f"{place}", value=name, remedy=remedy)


def _sealed_source(source: SourceSpec, views: Collection[ViewSpec]) -> None:
    place = f"Source({source.name!r})"
    if source.pii and not source.subject:
        fault("needs a subject whose key seals it", field=f"{place}.pii", remedy="say subject='column'")
    for name in source.pii:
        if name in (source.time, source.known_at, source.subject, *source.key):
            fault("tells rows apart, so it cannot be sealed", field=f"{place}.pii", value=name, remedy="leave it out")
    for view in views:
        for feature in view.features if view.source == source.name else ():
            read = [feature.column] if feature.column else columns_of(feature.condition) if feature.condition else []
            for name in {*read, *view.key} & set(source.pii):
                fault("is sealed, so no feature can be made of it", field=f"FeatureView({view.name!r})", value=name)


def _extra(revision: Revision) -> None:
    wanted = [
        *(source.name for source in revision.sources if source.pii),
        *(e.spec.name for e in revision.models if e.spec.pii),
    ]
    if wanted and find_spec("cryptography") is None:
        fault("needs a package to seal it", field=f"{wanted[0]}.pii", remedy='pip install "mainspring[pii]"')


def _triggers(entry: ModelEntry) -> None:
    for name in (entry.retrain or {}).get("on", ()):
        if name not in MONITORS:
            field = f"Model({entry.spec.name!r}).retrain.on"
            fault("no monitor has this name", field=field, value=name, remedy=nearest(str(name), MONITORS))


def _request(model: ModelSpec, place: str) -> None:
    carried = (model.entity, *model.keys, *model.inputs)
    for field, name in (("unit", model.unit), ("subject", model.subject)):
        if name and name not in carried:
            remedy = f"{nearest(name, carried)} or add it to inputs"
            fault("is not a column of the request", field=f"{place}.{field}", value=name, remedy=remedy)
    for recipe in model.recipes:
        for name in recipe.inputs:
            if name not in carried:
                remedy = f"{nearest(name, carried)} or add it to inputs"
                where = f"{place}.recipe({recipe.name!r}).inputs"
                fault("is not a column of the request", field=where, value=name, remedy=remedy)


def _feature_lists(model: ModelSpec) -> list[tuple[str, tuple[str, ...]]]:
    lists = [("features", model.features)]
    for recipe in model.recipes:
        if recipe.features != model.features:
            lists.append((f"recipe({recipe.name!r}).features", recipe.features))
    return lists


def _view_key(place: str, field: str, model: ModelSpec, view: ViewSpec | None) -> None:
    if view is None:
        return
    carried = (model.entity, *model.keys, *model.inputs)
    for column in view.key:
        if column not in carried:
            fault(
                f"the view {view.name} is looked up by a column that no request carries",
                field=f"{place}.{field}",
                value=column,
                remedy=f"add {column!r} to keys of {model.name}",
            )
