"""Verbs of releases: which version should answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_release, find_version
from mainspring.edges.verbs.training import OneModel
from mainspring.edges.verbs.verb import Change, Verb

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Start(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to release."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as challenger, or an id")]


class ListReleases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which releases."""

    model: Annotated[str | None, Meta(description="a model, as name or project/name; all if not said")] = None
    running: Annotated[bool, Meta(description="only those that run")] = False


class OneRelease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]


class Command(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A release, and why."""

    release: Annotated[str, Meta(description="id of a release, or a model's name for its running one")]


def start(platform: Platform, asked: Start, by: str) -> Any:
    model = find_model(platform, asked.model)
    version = find_version(platform, model, asked.version)
    if platform.registry.alias(model.id, "champion") is None:
        platform.releases.first_champion(model.id, version.id, by=by, reason=asked.reason)
        return {"model": model.name, "champion": version.number, "reason": "there was none to compare with"}
    return platform.releases.start(model.id, version.id, by=by, reason=asked.reason)


def list_releases(platform: Platform, asked: ListReleases, by: str) -> Any:
    model = find_model(platform, asked.model).id if asked.model else None
    return platform.releases.list(model, running=True if asked.running else None)


def show(platform: Platform, asked: OneRelease, by: str) -> Any:
    return find_release(platform, asked.release)


def hold(platform: Platform, asked: Command, by: str) -> Any:
    return platform.releases.hold(find_release(platform, asked.release).id, by=by, reason=asked.reason)


def resume(platform: Platform, asked: Command, by: str) -> Any:
    return platform.releases.resume(find_release(platform, asked.release).id, by=by, reason=asked.reason)


def abort(platform: Platform, asked: Command, by: str) -> Any:
    return platform.releases.abort(find_release(platform, asked.release).id, by=by, reason=asked.reason)


def promote(platform: Platform, asked: Command, by: str) -> Any:
    return platform.releases.promote(find_release(platform, asked.release).id, by=by, reason=asked.reason)


def roll_back(platform: Platform, asked: Command, by: str) -> Any:
    return platform.releases.roll_back(find_release(platform, asked.release).id, by=by, reason=asked.reason)


def forecast(platform: Platform, asked: OneModel, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.releases.forecast(model.id, model.release)


def _command(word: str, summary: str, call: Any) -> Verb:
    return Verb(
        name=f"release {word}",
        group="Release",
        summary=summary,
        arguments=Command,
        call=call,
        permission="operate",
        positional=("release",),
    )


VERBS = (
    Verb(
        name="release start",
        group="Release",
        summary="Start releasing a version by the model's policy",
        arguments=Start,
        call=start,
        permission="operate",
        positional=("model", "version"),
    ),
    Verb(
        name="release list",
        group="Release",
        summary="List releases with their stage and verdict",
        arguments=ListReleases,
        call=list_releases,
        positional=("model",),
        columns=("id", "model", "challenger", "champion", "stage", "share", "status"),
    ),
    Verb(
        name="release show",
        group="Release",
        summary="Show a release with its evidence and decisions",
        arguments=OneRelease,
        call=show,
        positional=("release",),
    ),
    _command("hold", "Keep a release where it is until it is resumed", hold),
    _command("resume", "Let a held release go on", resume),
    _command("abort", "End a release at once; the champion answers everything", abort),
    _command("promote", "Make the challenger champion; needs evidence", promote),
    _command("rollback", "Undo a release: the version before it becomes champion again", roll_back),
    Verb(
        name="release forecast",
        group="Release",
        summary="Forecast when a release by the model's policy could decide",
        arguments=OneModel,
        call=forecast,
        positional=("model",),
    ),
)
