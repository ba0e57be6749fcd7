"""Verbs of environments: what versions may run in besides the environment that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_version
from mainspring.edges.verbs.verb import Change, Nothing, Verb, machine_path

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.lock import Lock


class Approve(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to approve."""

    lock: Annotated[str, machine_path("a file of pinned requirements, each with --hash=sha256:")]
    wheels: Annotated[str, machine_path("a folder with their wheels")]


class RecordHere(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose libraries to keep."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")] = "champion"


class OneEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An environment."""

    lock: Annotated[str, Meta(description="digest of its lock, or how it begins")]


def approve(platform: Platform, asked: Approve, by: str) -> Any:
    from pathlib import Path

    lock, wheels = platform.environments.read(Path(asked.lock), Path(asked.wheels))
    return _approved(platform, lock, wheels, by, asked.reason)


def record(platform: Platform, asked: RecordHere, by: str) -> Any:
    version = find_version(platform, find_model(platform, asked.model), asked.version)
    lock, wheels = platform.environments.record(version)
    return _approved(platform, lock, wheels, by, asked.reason)


def _approved(platform: Platform, lock: Lock, wheels: dict[str, str], by: str, reason: str) -> Any:
    approved = platform.environments.approve(lock, wheels, by=by, reason=reason)
    platform.publisher.publish()
    return platform.environments.shown(approved)


def environments(platform: Platform, asked: Nothing, by: str) -> Any:
    return [platform.environments.shown(approved) for approved in platform.registry.environments.all()]


def build(platform: Platform, asked: OneEnvironment, by: str) -> Any:
    approved = platform.registry.environments.one(asked.lock)
    platform.environments.build(approved)
    return platform.environments.shown(approved)


_COLUMNS = ("lock", "python", "wheels", "built", "by", "approved_us")

VERBS = (
    Verb(
        name="environment approve",
        group="Registry",
        summary="Approve a lock with its wheels, and build the environment that versions may run in",
        arguments=Approve,
        call=approve,
        permission="owner",
        positional=("lock", "wheels"),
        long_running=True,
    ),
    Verb(
        name="environment record",
        group="Registry",
        summary="Keep the libraries of a version, as they are installed here, as an environment of its own",
        arguments=RecordHere,
        call=record,
        permission="operate",
        positional=("model", "version"),
        long_running=True,
    ),
    Verb(
        name="environment list",
        group="Registry",
        summary="List the approved environments, and whether they are built",
        arguments=Nothing,
        call=environments,
        columns=_COLUMNS,
    ),
    Verb(
        name="environment build",
        group="Registry",
        summary="Build an approved environment where it is missing, as after a restore",
        arguments=OneEnvironment,
        call=build,
        permission="operate",
        positional=("lock",),
        long_running=True,
    ),
)
