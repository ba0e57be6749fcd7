"""Reads what the page of a version shows: of what it was made, what its checks found, where it runs, its worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.verbs.rehearsal import ValueOf, value
from mainspring.edges.verbs.serving import process_state
from mainspring.edges.web import views
from mainspring.edges.web.audit import lines_of
from mainspring.edges.web.words import moment
from mainspring.kernel.errors import MainspringError
from mainspring.ledger.queries import entries
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.version import Version

_LINES = 40
_SAID = ("reward", "units", "labelled_share", "left_out_units", "from_us", "until_us")
_WEIGHED = ("effective_units", "weight_mean", "weight_most", "clip", "clipped_units", "self_normalised")


def version_line(platform: Platform, version: Version, champion: int | None) -> views.VersionLine:
    """Return one version as a list shows it."""
    results = platform.checks.results(version.id)
    failed = [result.name for result in results if result.blocks]
    overridden = [f"{result.name} overridden by {result.overridden_by}" for result in results if result.overridden_by]
    passed = f"{len(results) - len(failed)} of {len(results)} passed" if results else "not run"
    return views.VersionLine(
        id=version.id,
        number=version.number,
        runtime=version.runtime,
        recipe=version.lineage.recipe,
        created_us=version.created_us,
        digest=version.digest,
        metrics=dict(version.metrics),
        champion=version.number == champion,
        checks="; ".join([passed, *(f"{name} failed" for name in failed), *overridden]),
        blocked=bool(failed),
    )


def read_version(platform: Platform, id: str) -> views.WholeVersion:
    """Return one version with all that is kept of it."""
    version = platform.registry.version(id)
    row = platform.registry.model(None, version.model)
    champion = platform.registry.alias(version.model, CHAMPION)
    with platform.store.read() as connection:
        about = entries(connection, subject=id, newest_first=True, limit=_LINES)
    body: dict[str, Any] = msgspec.to_builtins(version)
    kept = ("files", "signature", "environment", "lineage", "parity")
    return views.WholeVersion(
        project=row.project_name,
        model=row.name,
        model_id=row.id,
        line=version_line(platform, version, champion.number if champion is not None else None),
        runs=process_state(platform, id),
        facts=_facts(platform, version, champion is not None and champion.id == id),
        checks=tuple(
            views.Check(
                one.name, one.status, one.reason, one.numbers,
                f"{one.overridden_by}: {one.override_reason}" if one.overridden_by else "",
            )
            for one in platform.checks.results(id)
        ),
        parts={name: body[name] for name in kept if body[name]},
        entries=lines_of(platform, about),
    )  # fmt: skip


def _facts(platform: Platform, version: Version, champion: bool) -> tuple[views.Fact, ...]:
    latency = f"{version.p999_ms:.3g} ms" if version.p999_ms is not None else "not measured"
    return (
        views.Fact("Answers", "as champion" if champion else "not as champion", process_state(platform, version.id)),
        views.Fact("Made", moment(version.created_us), f"by {version.lineage.recipe or 'hand'}, {version.runtime}"),
        views.Fact("Slowest row", latency, "p99.9 of one row, when it was registered"),
    )


def read_worth(platform: Platform, id: str) -> tuple[views.WholeVersion, views.Worth]:
    """Return a version, and what it would have been worth had it answered everything of the last 28 days."""
    version = read_version(platform, id)
    try:
        found = msgspec.to_builtins(value(platform, ValueOf(model=version.model_id, challenger=id), ""))
    except MainspringError as error:
        return version, views.Worth(f"It cannot be told: {error.sentence()}")
    told, logged = found["value"], found["logged"]
    numbers = {name: found[name] for name in _SAID} | {name: told[name] for name in _WEIGHED}
    return version, views.Worth(
        found["sentence"], numbers, told["low"], told["estimate"], told["high"], logged["estimate"]
    )  # fmt: skip
