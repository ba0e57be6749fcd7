"""Verbs of releases: which version should answer."""

from __future__ import annotations

from collections.abc import Callable
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
        platform.publisher.publish()
        return {"model": model.name, "champion": version.number, "reason": "there was none to compare with"}
    release = platform.releases.start(model.id, version.id, by=by, reason=asked.reason)
    platform.publisher.publish()
    return release


def list_releases(platform: Platform, asked: ListReleases, by: str) -> Any:
    model = find_model(platform, asked.model).id if asked.model else None
    return platform.releases.list(model, running=True if asked.running else None)


def show(platform: Platform, asked: OneRelease, by: str) -> Any:
    return find_release(platform, asked.release)


def _order(word: str) -> Callable[[Platform, Command, str], Any]:
    """Return the call for a person's command; gateways are told at once, not at the loop's next turn."""

    def call(platform: Platform, asked: Command, by: str) -> Any:
        found = _to_undo(platform, asked.release) if word == "roll_back" else find_release(platform, asked.release)
        result = getattr(platform.releases, word)(found.id, by=by, reason=asked.reason)
        platform.publisher.publish()
        return result

    return call


def _to_undo(platform: Platform, text: str) -> Any:
    """Return the release to undo; a model's name means its running one, or else the one promoted last."""
    return _latest(platform, text, status="promoted")


def _latest(platform: Platform, text: str, *, status: str | None = None) -> Any:
    """Return a release by id; a model's name means its running one, or else the last that ended (with ``status``)."""
    if text.startswith("rel_"):
        return platform.releases.get(text)
    model = find_model(platform, text)
    found = platform.releases.running(model.id) or [
        release for release in platform.releases.list(model.id) if status in (None, release.status)
    ]
    if found:
        return max(found, key=lambda release: release.started_us)
    return find_release(platform, text)


def explain_release(platform: Platform, asked: OneRelease, by: str) -> Any:
    from mainspring.ledger.queries import entries
    from mainspring.release.explain import explain

    found = platform.releases.get(_latest(platform, asked.release).id)
    with platform.store.read() as connection:
        about = entries(connection, subject=found.id)
    return explain(found, about)


def forecast(platform: Platform, asked: OneModel, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.releases.forecast(model.id, model.release)


_ONE = (
    "id",
    "model_name",
    "challenger_number",
    "recipe",
    "champion_number",
    "status",
    "stage",
    "share",
    "started_us",
    "deadline_us",
    "asked",
    "decision.sentence",
    "decision.waiting",
    "forecast.reason",
    "evidence",
    "champion",
    "reason",
)


def _command(word: str, summary: str, *, order: str | None = None) -> Verb:
    return Verb(
        name=f"release {word}",
        group="Release",
        summary=summary,
        arguments=Command,
        call=_order(order or word),
        permission="operate",
        positional=("release",),
        columns=_ONE,
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
        columns=_ONE,
    ),
    Verb(
        name="release list",
        group="Release",
        summary="List releases with their stage and verdict",
        arguments=ListReleases,
        call=list_releases,
        positional=("model",),
        columns=(
            "id",
            "model_name",
            "challenger_number",
            "champion_number",
            "stage",
            "share",
            "status",
            "started_us",
            "reason",
        ),
    ),
    Verb(
        name="release show",
        group="Release",
        summary="Show a release with its evidence and decisions",
        arguments=OneRelease,
        call=show,
        positional=("release",),
        columns=_ONE,
    ),
    Verb(
        name="release explain",
        group="Release",
        summary="Tell what was asked, agreed, seen and decided, as a person would",
        arguments=OneRelease,
        call=explain_release,
        positional=("release",),
    ),
    _command("hold", "Keep a release where it is until it is resumed"),
    _command("resume", "Let a held release go on"),
    _command("abort", "End a release at once; the champion answers everything"),
    _command("promote", "Make the challenger champion on your word; the ledger says that evidence was waived"),
    _command("rollback", "Undo a release: the version before it becomes champion again", order="roll_back"),
    Verb(
        name="release forecast",
        group="Release",
        summary="Forecast when a release by the model's policy could decide",
        arguments=OneModel,
        call=forecast,
        positional=("model",),
    ),
)
