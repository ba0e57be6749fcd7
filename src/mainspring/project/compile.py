"""From declarations to plain data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from mainspring.checks.spec import Check
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.errors import nearest
from mainspring.monitoring.spec import Monitor
from mainspring.project.collection import Collection, Faulty, fault
from mainspring.project.given import checked_name, span_us
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.project.model import Model, RecipeDeclared
from mainspring.project.source import Source
from mainspring.project.view import FeatureView
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe
from mainspring.release.policy import Policy
from mainspring.training.spec import Retrain

_OPTIONS = tuple(name for name in Recipe.__struct_fields__ if name not in ("name", "function", "kind"))

_PARTS: dict[str, tuple[Any, str, str]] = {
    "checks": (Check, "a check", "such as ms.checks.metric('roc_auc', at_least=0.6)"),
    "release": (Policy, "a policy of releases", "such as ms.Canary()"),
    "monitors": (Monitor, "a monitor", "such as ms.Health()"),
    "retrain": (Retrain, "a rule for retraining", "such as ms.Retrain(every='30d')"),
}
_OUTCOMES: dict[str, Literal["bool", "float", "class"]] = {"binary": "bool", "multiclass": "class"}


def compile_revision(collection: Collection, *, project: str, file: str) -> Revision:
    """Return the declarations of a file as a revision; faults are noted in the open collection."""
    declared = [thing for thing in collection.declared if not thing.broken]
    views = [thing for thing in declared if isinstance(thing, FeatureView)]
    sources = [thing for thing in declared if isinstance(thing, Source)]
    models = [thing for thing in declared if isinstance(thing, Model)]
    for word, things in (("source", sources), ("view", views), ("model", models)):
        _distinct(word, things)
    return Revision(
        project=project,
        file=file,
        sources=tuple(_source(source, views) for source in sources),
        views=tuple(ViewSpec(view.name, view.source, view.key, view.features, view.ttl_us) for view in views),
        models=tuple(_entry(model) for model in models),
    )


def broken_names(collection: Collection) -> set[str]:
    """Return names of declarations that could not be read, so that references to them are not faults of their own."""
    return {thing.name for thing in collection.declared if thing.broken}


def _distinct(word: str, things: Iterable[Any]) -> None:
    seen: set[str] = set()
    for thing in things:
        if thing.name in seen:
            fault(f"there are two {word}s of this name", field=word, value=thing.name, remedy="rename one of them")
        seen.add(thing.name)


def _source(source: Source, views: Iterable[FeatureView]) -> SourceSpec:
    key = source.key
    if not key:
        used = [column for view in views if view.source == source.name for column in view.key]
        key = tuple(dict.fromkeys([*used, source.time])) if used else ()
    if not key:
        fault("needs a key", field=f"Source({source.name!r}).key", remedy="name the columns that identify a row")
    return SourceSpec(
        source.name, source.reader, source.time, key, source.known_at, source.known_after_us, tuple(source.columns),
        source.subject, source.pii,
    )  # fmt: skip


def _entry(model: Model) -> ModelEntry:
    return ModelEntry(
        spec=_model(model),
        checks=tuple(_part(model, "checks", part) for part in model.checks),
        release=_part(model, "release", model.release) if model.release is not None else None,
        monitors=tuple(_part(model, "monitors", part) for part in model.monitors),
        retrain=_part(model, "retrain", model.retrain) if model.retrain is not None else None,
    )


def _model(model: Model) -> ModelSpec:
    outcome = model.outcome
    seen = tuple(dict.fromkeys((*model.keys, *model.inputs)))
    recipes = sorted(model.recipes, key=lambda recipe: (recipe.kind == "rule", recipe.name != "default"))
    _distinct(f"recipe of {model.name}", recipes)
    if not recipes:
        fault(
            "has neither a trainer nor a rule",
            field=f"Model({model.name!r})",
            remedy=f"write a function under @{model.name}.trainer or @{model.name}.rule",
        )
    return ModelSpec(
        name=model.name,
        task=model.task,
        entity=model.entity,
        source=model.source,
        predict_at=PredictAt(*model.predict_at),
        outcome=OutcomeSpec(
            expression=getattr(outcome, "expression", ""),
            source=getattr(outcome, "source", ""),
            matures_after_us=getattr(outcome, "matures_after_us", 0),
            kind=_OUTCOMES.get(model.task, "float"),
            if_absent=getattr(outcome, "if_absent", "unlabelled"),
            affected_by_answer=getattr(outcome, "affected_by_answer", True),
        ),
        recipes=tuple(_recipe(model, recipe, seen) for recipe in recipes),
        keys=model.keys,
        inputs=tuple(model.inputs),
        features=model.features,
        unit=model.unit or model.entity,
        subject=model.subject,
        keep_us=model.keep_us,
        pii=model.pii,
        threshold=None if model.threshold is None else float(model.threshold),
        deadline_ms=model.deadline_us // 1_000,
        classes=model.classes,
        batching=model.batching,
        holdout=model.holdout,
    )


def _recipe(model: Model, declared: RecipeDeclared, seen: tuple[str, ...]) -> Recipe:
    place = f"Model({model.name!r}).recipe({declared.name!r})"
    checked_name(place, declared.name)
    options = dict(declared.options)
    for name in options.keys() - set(_OPTIONS):
        fault("is not a known key", field=f"{place}.{name}", remedy=nearest(name, _OPTIONS))
    options = {name: value for name, value in options.items() if name in _OPTIONS}
    plain = {
        "inputs": seen,
        "features": model.features,
        "window": getattr(model.retrain, "window", None) or "expanding",
        "frame": _frame_wanted(declared.function),
        **options,
        "name": declared.name,
        "kind": declared.kind,
        "function": _function(place, declared.function),
    }
    plain["features"] = tuple(_view_name(view) for view in plain["features"] if not isinstance(view, Faulty))
    if plain["window"] != "expanding":
        span_us(f"{place}.window", plain["window"])
    try:
        return msgspec.convert(msgspec.to_builtins(plain), Recipe)
    except msgspec.ValidationError as error:
        fault(str(error).replace("`", "").replace(" - at $", " at "), field=place)
    except TypeError as error:
        fault(f"holds what cannot be stored: {error}", field=place, remedy="use numbers, texts, lists and dicts")
    return Recipe(declared.name, plain["function"])


def _view_name(view: Any) -> str:
    return view.name if isinstance(view, FeatureView) else str(view)


def _function(place: str, function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", "")
    if not inspect.isfunction(function) or "." in name or name == "<lambda>":
        fault("must be a plain function of a module", field=place, remedy="write it with def at the top of a file")
        return ""
    if len(inspect.signature(function).parameters) != 2:
        fault("must take two arguments", field=place, value=name, remedy=f"write def {name}(frame, params)")
    return f"{function.__module__}:{name}"


def _frame_wanted(function: Callable[..., Any]) -> Literal["pandas", "polars"]:
    """Read from its annotation which kind of DataFrame a function asks for; pandas when it does not say."""
    annotations = list(getattr(function, "__annotations__", {}).values())
    first = annotations[0] if annotations else ""
    words = first if isinstance(first, str) else f"{getattr(first, '__module__', '')}."
    return "polars" if words.startswith(("polars", "pl.")) else "pandas"


def _part(model: Model, word: str, part: Any) -> dict[str, Any]:
    kinds, what, remedy = _PARTS[word]
    if not isinstance(part, kinds):
        fault(f"is not {what}", field=f"Model({model.name!r}).{word}", value=part, remedy=remedy)
        return {}
    plain: dict[str, Any] = msgspec.to_builtins(part)
    return plain
