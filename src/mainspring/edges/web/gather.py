"""Reads what the page shows from the platform's services; nothing is computed that they do not know already."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.verbs.status import status
from mainspring.edges.verbs.verb import Nothing
from mainspring.edges.web import views
from mainspring.edges.web.alarms import alarm_of
from mainspring.edges.web.audit import lines_of
from mainspring.edges.web.commands import start_orders
from mainspring.edges.web.monitors import read_monitors
from mainspring.edges.web.policies import strategies
from mainspring.edges.web.rehearsals import read_rehearsals
from mainspring.edges.web.releases import read_releases
from mainspring.edges.web.versions import version_line
from mainspring.edges.web.words import ago, number, share
from mainspring.ledger.queries import entries
from mainspring.registry.alias import CHAMPION

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.service import AliasMove, ModelRow

_LEDGER_LINES = 15
_GLANCE = ("Control", "Gateways", "Records", "Disk")
_REIGNS, _VERSIONS = 60, 100  # the newest; the command line lists all


def read_loop(platform: Platform) -> views.Loop:
    """Return the whole loop at a glance."""
    rows = platform.registry.models()
    models = tuple(sorted((read_model(platform, row, brief=True) for row in rows), key=_pressing))
    alarms = tuple(alarm_of(alarm) for alarm in platform.monitoring.alarms())
    glance = status(platform, Nothing(), "")
    return views.Loop(
        home=str(platform.home.root),
        now_us=platform.clock.now_us(),
        simulated=platform.home.simulated,
        first=tuple(glance["look_at"]),
        glance=tuple(views.Fact(name, str(glance[name.lower()])) for name in _GLANCE),
        stations=_stations(platform, models, alarms),
        models=models,
        alarms=alarms,
        entries=read_entries(platform, limit=_LEDGER_LINES),
    )


def _pressing(model: views.Model) -> tuple[bool, bool]:
    """Put models first that have an alarm, then those that are being released."""
    alarming = any(one.state == "alarm" for one in model.monitors)
    return not alarming, not any(release.running for release in model.releases)


def read_model(platform: Platform, row: ModelRow, *, brief: bool = False) -> views.Model:
    """Return one model; ``brief`` leaves out what only its own page shows."""
    history = platform.registry.history(row.id, CHAMPION, _REIGNS)
    counts = platform.log.counts(row.id)
    champion = history[-1].number if history else None
    versions = reversed(platform.registry.versions(row.id, _VERSIONS))
    return views.Model(
        id=row.id,
        project=row.project_name,
        name=row.name,
        task=row.spec.task if row.spec else "registered by hand",
        champion=champion,
        champion_since_us=history[-1].since_us if history and champion is not None else None,
        reigns=_reigns(history),
        releases=read_releases(platform, row, brief=brief),
        monitors=tuple(one for state in platform.monitoring.state(row.id) for one in read_monitors(state)),
        alarms=() if brief else tuple(alarm_of(alarm) for alarm in platform.monitoring.alarms(model=row.id)),
        versions=tuple(version_line(platform, version, champion) for version in versions),
        predictions=counts.get("predictions", 0),
        outcomes=counts.get("outcomes", 0),
    )


def read_model_page(platform: Platform, project: str, name: str) -> tuple[views.Model, tuple[views.Entry, ...]]:
    """Return a model with the entries of the ledger that speak of it, the newest first."""
    row = find_model(platform, f"{project}/{name}")
    model = read_model(platform, row)
    model = msgspec.structs.replace(
        model,
        start=start_orders(row.name),
        policies=strategies(row.release),
        rehearsals=read_rehearsals(platform, row.id),
    )
    subjects = {row.id, *(version.id for version in platform.registry.versions(row.id, _VERSIONS))}
    subjects |= {release.id for release in model.releases} | {alarm.id for alarm in model.alarms}
    found = read_entries(platform, project=row.project, limit=400)
    mine = [entry for entry in found if entry.subject in subjects or entry.numbers.get("model") in (row.id, row.name)]
    return model, tuple(mine[:60])


def read_entries(platform: Platform, *, project: str | None = None, limit: int) -> tuple[views.Entry, ...]:
    """Return entries of the ledger, the newest first."""
    with platform.store.read() as connection:
        found = entries(connection, project=project, newest_first=True, limit=limit)
    return lines_of(platform, found)


def _reigns(history: list[AliasMove]) -> tuple[views.Reign, ...]:
    ends = [move.since_us for move in history[1:]] + [None]
    return tuple(
        views.Reign(move.number, move.since_us, end, move.reason) for move, end in zip(history, ends, strict=False)
    )


def _stations(
    platform: Platform, models: tuple[views.Model, ...], alarms: tuple[views.Alarm, ...]
) -> tuple[views.Station, ...]:
    counts = Counter(platform.log.counts())
    now_us = platform.clock.now_us()
    projects = platform.registry.projects()
    sources = sum(len(platform.features.sources(project.id)) for project in projects)
    versions = [version for model in models for version in model.versions]
    newest = max((version.created_us for version in versions), default=None)
    blocked = sum(version.blocked for version in versions)
    running = [release for model in models for release in model.releases if release.running]
    drawing = [release for release in running if release.share > 0]
    fallback, failed = counts["fallback"], sum(alarm.monitor.startswith("health") for alarm in alarms)
    parts = (
        ("Sources", sources, f"in {_count(len(projects), 'project')}", False),
        (
            "Training",
            len(versions),
            f"versions, newest {ago(newest, now_us)} ago" if newest else "no version yet",
            False,
        ),
        ("Checks", len(versions) - blocked, f"versions fit, {blocked} held back", False),
        ("Release", len(running), _running_words(len(running), [release.share for release in drawing]), False),
        ("Serving", counts["predictions"], f"predictions, {number(fallback)} fell back", failed > 0),
        ("Outcomes", counts["outcomes"], f"known, {number(counts['parked'])} parked", False),
        ("Monitoring", len(alarms), "open alarms" if len(alarms) != 1 else "open alarm", bool(alarms)),
    )
    return tuple(views.Station(name, number(value), words, alert) for name, value, words, alert in parts)


def _running_words(running: int, shares: list[float]) -> str:
    if not running:
        return "nothing is being released"
    return f"running, at {share(max(shares))}" if shares else "running, in shadow"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
