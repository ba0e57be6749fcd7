"""Verbs of the registry: which versions exist, and which are called what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.checks import OneVersion
from mainspring.edges.verbs.naming import find_model, find_version
from mainspring.edges.verbs.training import OneModel
from mainspring.edges.verbs.verb import Change, Verb, Why, Work
from mainspring.kernel.errors import Conflict, NotFound, Refused
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.model import ModelSpec


class SetAlias(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an alias shall point."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    alias: Annotated[str, Meta(description="an alias, such as champion")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")]


class OneAlias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alias."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    alias: Annotated[str, Meta(description="an alias, such as champion")] = CHAMPION


class ChampionAt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which champion."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    at: Annotated[str | None, Meta(description="ISO 8601 with a zone, such as 2013-05-03T12:00Z; now if not said")] = (
        None
    )


class Register(Work, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which file to register."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    file: Annotated[bytes, Meta(description="an ONNX file that answers with one number a row, or one a class")]
    new: Annotated[bool, Meta(description="make the model, without a project, if there is none")] = False
    task: Annotated[
        Literal["binary", "regression", "multiclass"], Meta(description="what a model without a project answers")
    ] = "binary"
    classes: Annotated[
        str,
        Meta(description="the classes of its answers in their order, with commas, without a project"),
    ] = ""
    threshold: Annotated[float | None, Meta(description="above it a model without a project decides yes")] = None
    reason: Why = "registered from a file"


class Naming(msgspec.Struct, frozen=True):
    """Which model a version is registered for, and whether it is made where there is none."""

    model: str
    new: bool
    reason: str


def register(platform: Platform, asked: Register, by: str) -> Any:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    _refuse_code(asked.file)
    naming = Naming(asked.model, asked.new, asked.reason)
    refuse_unknown(platform, naming)
    with TemporaryDirectory(dir=platform.home.staging) as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(asked.file)
        graph = platform.intake.read_graph(path)
    model = model_for(platform, naming, by)
    return platform.intake.register_graph(
        model, graph, by=by, reason=asked.reason, task=asked.task, threshold=asked.threshold,
        classes=classes_of(asked.classes),
    )  # fmt: skip


def classes_of(text: str) -> tuple[str, ...]:
    """Return the classes that a list with commas names."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def refuse_unknown(platform: Platform, asked: Naming) -> None:
    """Refuse a model that there is not before its file is looked at; a new one is made after its file proved good."""
    if not asked.new:
        find_model(platform, asked.model)


def declared_for(platform: Platform, asked: Naming) -> ModelSpec | None:
    """Return what a project says of the model, or None where there is no such model yet, or no project."""
    try:
        found: ModelSpec | None = find_model(platform, asked.model).spec
    except NotFound:
        return None
    return found


def model_for(platform: Platform, asked: Naming, by: str) -> str:
    """Return the id of the model, which is made if that was asked for."""
    try:
        return str(find_model(platform, asked.model).id)
    except NotFound:
        if not asked.new:
            raise
    with platform.store.begin(by) as tx:
        model = platform.projects.undeclared(tx, asked.model)
        tx.record("model.created", model, asked.reason, {"name": asked.model})
    return model


def _refuse_code(file: bytes) -> None:
    """Refuse what would run code when it is loaded; a graph is data."""
    if file[:1] == b"\x80" or file[:2] in (b"PK", b"\x1f\x8b") or file[:4] == b"\x89HDF":
        raise Refused(
            "is not an ONNX file; a pickled estimator or an archive would run code when it is loaded",
            field="file",
            remedy="train it here, or register it with ms.register(estimator, sample)",
        )


def versions(platform: Platform, asked: OneModel, by: str) -> Any:
    return platform.registry.versions(find_model(platform, asked.model).id)


def version(platform: Platform, asked: OneVersion, by: str) -> Any:
    from mainspring.serving.placement import DEADLINE_MS, placement

    model = find_model(platform, asked.model)
    found = find_version(platform, model, asked.version)
    deadline_ms = model.spec.deadline_ms if model.spec else DEADLINE_MS
    return {**msgspec.to_builtins(found), "placement": placement(found, deadline_ms)}


def set_alias(platform: Platform, asked: SetAlias, by: str) -> Any:
    model = find_model(platform, asked.model)
    chosen = find_version(platform, model, asked.version)
    standing = platform.registry.alias(model.id, asked.alias)
    if standing is not None and standing.id == chosen.id:
        raise Conflict(f"stands at version {chosen.number} already", field="alias", value=asked.alias)
    if asked.alias == CHAMPION:
        platform.releases.check_past_approval(model, by)
    with platform.store.begin(by) as tx:
        platform.registry.point(tx, model.id, asked.alias, chosen.id, asked.reason, {"version": chosen.number})
    platform.publisher.publish()
    return {"model": model.name, "alias": asked.alias, "version": chosen.number}


def alias_history(platform: Platform, asked: OneAlias, by: str) -> Any:
    return platform.registry.history(find_model(platform, asked.model).id, asked.alias)


def champion(platform: Platform, asked: ChampionAt, by: str) -> Any:
    from mainspring.kernel.clock import parse_time, to_us

    model = find_model(platform, asked.model)
    at_us = to_us(parse_time(asked.at, field="at")) if asked.at else None
    found = platform.registry.alias(model.id, CHAMPION, at_us)
    if found is None:
        raise NotFound(
            "had no champion" if asked.at else "has no champion",
            field="model",
            value=model.name,
            remedy=f"see: mainspring alias history {model.name}",
        )
    return found


VERBS = (
    Verb(
        name="register",
        group="Registry",
        summary="Register an ONNX file as a version",
        arguments=Register,
        call=register,
        permission="operate",
        positional=("model", "file"),
        limit_bytes=96 * 1024 * 1024,
        long_running=True,
    ),
    Verb(
        name="versions",
        group="Registry",
        summary="List the versions of a model",
        arguments=OneModel,
        call=versions,
        positional=("model",),
        columns=("number", "lineage.recipe", "runtime", "created_us", "metrics", "id"),
    ),
    Verb(
        name="version",
        group="Registry",
        summary="Show one version: files, signature, environment, lineage, parity, where it runs",
        arguments=OneVersion,
        call=version,
        positional=("model", "version"),
    ),
    Verb(
        name="champion",
        group="Registry",
        summary="Show which version is champion, or was at a time",
        arguments=ChampionAt,
        call=champion,
        positional=("model",),
    ),
    Verb(
        name="alias set",
        group="Registry",
        summary="Point an alias at a version by hand",
        arguments=SetAlias,
        call=set_alias,
        permission="operate",
        positional=("model", "alias", "version"),
    ),
    Verb(
        name="alias history",
        group="Registry",
        summary="Show where an alias pointed, and since when",
        arguments=OneAlias,
        call=alias_history,
        positional=("model", "alias"),
    ),
)
