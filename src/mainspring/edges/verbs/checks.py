"""Verbs of checks: is a version fit to be released?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_version
from mainspring.edges.verbs.verb import Change, Verb

if TYPE_CHECKING:
    from mainspring.platform import Platform


class OneVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")]


class Override(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which failed check to let pass."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")]
    check: Annotated[str, Meta(description="name of the failed check")]


def run_checks(platform: Platform, asked: OneVersion, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.checks.run(find_version(platform, model, asked.version).id, by=by)


def results(platform: Platform, asked: OneVersion, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.checks.results(find_version(platform, model, asked.version).id)


def override(platform: Platform, asked: Override, by: str) -> Any:
    version = find_version(platform, find_model(platform, asked.model), asked.version)
    platform.checks.override(version.id, asked.check, by=by, reason=asked.reason)
    return platform.checks.results(version.id)


_COLUMNS = ("name", "status", "severity", "overridden_by", "reason")

VERBS = (
    Verb(
        name="check",
        group="Checks",
        summary="Run the checks of a version",
        arguments=OneVersion,
        call=run_checks,
        permission="operate",
        positional=("model", "version"),
        columns=_COLUMNS,
        long_running=True,
    ),
    Verb(
        name="checks",
        group="Checks",
        summary="Show the results of a version's checks with their numbers",
        arguments=OneVersion,
        call=results,
        positional=("model", "version"),
        columns=_COLUMNS,
    ),
    Verb(
        name="override",
        group="Checks",
        summary="Let a version pass in spite of a failed check; the ledger names who",
        arguments=Override,
        call=override,
        permission="operate",
        positional=("model", "version", "check"),
        columns=_COLUMNS,
    ),
)
