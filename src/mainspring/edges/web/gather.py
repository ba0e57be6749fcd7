"""Reads what the page shows from the platform's services; nothing is computed that they do not know already."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.web import views
from mainspring.edges.web.commands import Order, orders_for, start_order
from mainspring.edges.web.words import ago, number, plain_words, share, signed
from mainspring.kernel.duration import DAY_US
from mainspring.ledger.queries import entries
from mainspring.registry.alias import CHAMPION
from mainspring.release.explain import explain

if TYPE_CHECKING:
    from mainspring.monitoring.alarms import Alarm
    from mainspring.monitoring.service import MonitorState
    from mainspring.platform import Platform
    from mainspring.registry.service import AliasMove, ModelRow
    from mainspring.registry.version import Version
    from mainspring.release.comparison import Slice
    from mainspring.release.engine import Contender, Decision
    from mainspring.release.evidence.stream import Measured
    from mainspring.release.release import Release

_LEDGER_LINES = 15
_PAST_RELEASES = 4
_REIGNS, _VERSIONS = 60, 100  # the newest; the command line lists all
_SAMPLE_ROWS = 12
_MOST_SLICES = 20
_MOST_RELEASES = 200
_GUARDS = {
    "shadow_failed": "failures in shadow",
    "shadow_late": "late answers in shadow",
    "failed": "failures of drawn units",
    "late": "late answers to drawn units",
    "label": "outcomes of drawn units",
    "labelled": "share of units with an outcome",
    "sample_ratio": "units drawn against the stated share",
    "sample_ratio_labelled": "labelled units against the stated share",
}


def read_loop(platform: Platform) -> views.Loop:
    """Return the whole loop at a glance."""
    rows = platform.registry.models()
    models = tuple(read_model(platform, row, brief=True) for row in rows)
    alarms = tuple(_alarm(alarm) for alarm in platform.monitoring.alarms())
    return views.Loop(
        home=str(platform.home.root),
        now_us=platform.clock.now_us(),
        simulated=platform.home.simulated,
        stations=_stations(platform, models, alarms),
        models=models,
        alarms=alarms,
        entries=read_entries(platform, limit=_LEDGER_LINES),
    )


def read_model(platform: Platform, row: ModelRow, *, brief: bool = False) -> views.Model:
    """Return one model; ``brief`` leaves out what only its own page shows."""
    history = platform.registry.history(row.id, CHAMPION, _REIGNS)
    counts = platform.log.counts(row.id)
    champion = history[-1].number if history else None
    return views.Model(
        project=row.project_name,
        name=row.name,
        task=row.spec.task if row.spec else "registered by hand",
        champion=champion,
        champion_since_us=history[-1].since_us if history and champion is not None else None,
        reigns=_reigns(history),
        releases=_releases(platform, row, brief=brief),
        monitors=tuple(one for state in platform.monitoring.state(row.id) for one in _monitors(state)),
        alarms=() if brief else tuple(_alarm(alarm) for alarm in platform.monitoring.alarms(model=row.id)),
        versions=tuple(
            _version(platform, version, champion) for version in reversed(platform.registry.versions(row.id, _VERSIONS))
        ),
        predictions=counts.get("predictions", 0),
        outcomes=counts.get("outcomes", 0),
    )


def read_model_page(platform: Platform, project: str, name: str) -> tuple[views.Model, tuple[views.Entry, ...]]:
    """Return a model with the entries of the ledger that speak of it, the newest first."""
    row = find_model(platform, f"{project}/{name}")
    model = read_model(platform, row)
    model = msgspec.structs.replace(model, start=start_order(row.name))
    subjects = {row.id, *(version.id for version in platform.registry.versions(row.id, _VERSIONS))}
    subjects |= {release.id for release in model.releases} | {alarm.id for alarm in model.alarms}
    found = read_entries(platform, project=row.project, limit=400)
    mine = [entry for entry in found if entry.subject in subjects or entry.numbers.get("model") in (row.id, row.name)]
    return model, tuple(mine[:60])


def read_release(platform: Platform, id: str) -> views.Release:
    """Return one release with all its evidence and decisions."""
    return _release(platform, platform.releases.get(id), whole=True)


def read_entries(platform: Platform, *, project: str | None = None, limit: int) -> tuple[views.Entry, ...]:
    """Return entries of the ledger, the newest first."""
    with platform.store.read() as connection:
        found = entries(connection, project=project, newest_first=True, limit=limit)
    return tuple(
        views.Entry(one.seq, one.at_us, one.actor, one.kind, one.subject, one.reason, one.numbers) for one in found
    )


def _reigns(history: list[AliasMove]) -> tuple[views.Reign, ...]:
    ends = [move.since_us for move in history[1:]] + [None]
    return tuple(
        views.Reign(move.number, move.since_us, end, move.reason) for move, end in zip(history, ends, strict=False)
    )


def _releases(platform: Platform, row: ModelRow, *, brief: bool) -> tuple[views.Release, ...]:
    running = list(reversed(platform.releases.running(row.id)))
    most = _PAST_RELEASES if brief else _MOST_RELEASES
    over = list(reversed(platform.releases.list(row.id, False, newest=most)))
    detailed = [platform.releases.get(release.id) for release in running]
    return tuple(_release(platform, release) for release in detailed + over)


def _release(platform: Platform, release: Release, *, whole: bool = False) -> views.Release:
    row = platform.registry.model(None, release.model)
    shown = [one for one in release.evidence if whole or one.role == "metric" or one.stops]
    return views.Release(
        id=release.id,
        project=row.project_name,
        model=row.name,
        challenger=f"v{release.challenger_number}" + (f" {release.recipe}" if release.recipe else ""),
        champion=f"v{release.champion_number}",
        stage=release.stage,
        share=release.share,
        status=release.status,
        running=not release.over,
        since_us=release.started_us,
        deadline_us=None if release.over else release.deadline_us,
        steps=_steps(_way(release), release),
        evidence=tuple(_evidence(one, release, _waiting(platform, release, one)) for one in shown),
        decisions=tuple(_decision(one) for one in release.history),
        policy=msgspec.to_builtins(release.policy),
        words=_words(release, platform.clock.now_us()),
        ended_us=release.ended_us,
        shares=_shares(release),
        orders=_orders(platform, release) if whole else (),
        told=_told(platform, release) if whole else (),
        contenders=tuple(_contender(one) for one in release.contenders),
        sample=_sample(platform, release) if whole and not release.over else (),
        slices=tuple(_slice(one) for one in release.disagreement[:_MOST_SLICES]),
        approved=f"{release.approved.by}: {release.approved.reason}" if release.approved else "",
    )


def _contender(one: Contender) -> views.Contender:
    scores = {score.name: {"mean": score.estimate, "low": score.low, "high": score.high} for score in one.scores}
    return views.Contender(f"v{one.number}", one.share, plain_words(one.status), one.reason, scores)


def _sample(platform: Platform, release: Release) -> tuple[views.Row, ...]:
    """Return rows for whoever has to sign a release off: the largest differences, and some by chance."""
    if release.terms.approval is None or release.approved is not None:
        return ()
    return tuple(
        views.Row(one.entity, one.asked, one.champion, one.challenger, one.difference, one.outcome)
        for one in platform.releases.reports.sample(release, _SAMPLE_ROWS)
    )


def _slice(one: Slice) -> views.Slice:
    name = f"{one.column} = {one.value}" if one.column else "all rows"
    return views.Slice(name, one.rows, one.mean, one.mean_absolute, one.largest)


def _shares(release: Release) -> tuple[views.Share, ...]:
    """Return when the challenger's share of units changed, from its start in shadow to its end."""
    changes = [views.Share(release.started_us, 0.0)]
    for decision in release.history:
        share_then = 1.0 if decision.kind == "promote" else decision.share
        if share_then != changes[-1].share:
            changes.append(views.Share(decision.at_us, share_then))
    return tuple(changes)


def _orders(platform: Platform, release: Release) -> tuple[Order, ...]:
    champion = platform.registry.alias(release.model, CHAMPION)
    return orders_for(release, champion=champion is not None and champion.id == release.challenger)


def _told(platform: Platform, release: Release) -> tuple[str, ...]:
    with platform.store.read() as connection:
        about = entries(connection, subject=release.id)
    return tuple(explain(release, about))


def _way(release: Release) -> list[str]:
    """Return the stages that a release of its strategy goes through."""
    match release.terms.strategy:
        case "blue_green":
            return ["warm", "kept", "champion"]
        case "bandit":
            return ["shadow", "bandit", "champion"]
        case _:
            return ["shadow", *(share(step) for step in release.terms.steps), "champion"]


def _steps(labels: list[str], release: Release) -> tuple[views.Step, ...]:
    reached = len(labels) - 1 if release.status == "promoted" else release.step
    marks: list[views.Step] = []
    for place, label in enumerate(labels):
        if place < reached or release.status == "promoted":
            marks.append(views.Step(label, "done"))
        elif place == reached:
            marks.append(views.Step(label, "stopped" if release.over else "now"))
        else:
            marks.append(views.Step(label, "ahead"))
    return tuple(marks)


def _words(release: Release, now_us: int) -> str:
    decision = release.decision
    said = decision.sentence if decision is not None else release.reason
    if release.over:
        return said + _deciding(release)
    where = "in shadow" if release.stage == "shadow" else f"answers {share(release.share)} of units"
    sentence = f"Day {(now_us - release.started_us) // DAY_US + 1}, {where}: {said}."
    if release.forecast is not None and release.forecast.days is not None:
        sentence += f" A decision was forecast for day {math.ceil(release.forecast.days)}."
    more = [plain_words(word) for word in (decision.waiting[1:] if decision is not None else ())]
    return sentence + (f" Also waits for: {', '.join(more)}." if more else "")


def _deciding(release: Release) -> str:
    """Return the comparison that decided, in numbers."""
    one = next((one for one in release.evidence if one.stops), None)
    one = one or next((one for one in release.evidence if one.role == "metric"), None)
    if one is None:
        return ""
    name = release.terms.loss.metric if one.name == "quality" else one.name
    return f" ({plain_words(name)} {signed(one.estimate)} [{signed(one.low)}, {signed(one.high)}], n = {number(one.n)})"


def _waiting(platform: Platform, release: Release, one: Measured) -> int:
    """Return how many rows of the challenger are not mature yet, for the comparisons that count rows."""
    if one.estimator != "paired" or one.role != "metric" or release.over:
        return 0
    rows = platform.log.scored(release.model, versions=[release.challenger], since_us=release.started_us).height
    return max(rows - one.n, 0)


def _evidence(one: Measured, release: Release, waiting: int) -> views.Evidence:
    points = []
    for decision in release.history:
        then = next((known for known in decision.measured if known.name == one.name), None)
        if then is not None and math.isfinite(then.low) and math.isfinite(then.high):
            points.append(views.Point(decision.at_us, then.low, then.high))
    metric = one.role == "metric"
    limit = one.promote_limit if metric else one.stop_limit
    words, state = _reading(one)
    name = f"{release.terms.loss.metric} against the champion" if one.name == "quality" else one.name
    name = f"{release.terms.loss.metric} against the anchor" if one.name == "quality_against_anchor" else name
    ratio = one.role == "ratio"
    return views.Evidence(
        name=_GUARDS.get(name, name),
        estimate=one.estimate,
        lower=None if ratio else one.low,
        upper=None if ratio else one.high,
        limit=limit,
        n=one.n,
        waiting=waiting,
        words=words,
        state=state,
        unit="units" if one.estimator == "drawn" or ratio else "matured",
        points=tuple(points) if metric else (),
    )


def _reading(one: Measured) -> tuple[str, Any]:
    if one.stops:
        return f"worse beyond doubt: it stops (e = {number(one.e_stop)}, stops at {number(one.stop_at)})", "bad"
    if one.role != "metric":
        return "within its limit", "good"
    bar = f"e = {number(one.e_promote)} of {number(one.promote_at)}"
    if one.good_enough:
        return ("proven not worse by its margin" if one.promote_limit else "proven better") + f" ({bar})", "good"
    return f"not decided yet ({bar})", "open"


def _decision(decision: Decision) -> views.Decision:
    numbers = {
        "share": decision.share,
        "units": decision.units,
        "coverage": decision.coverage,
        "labelled share": decision.labelled_share,
        "waits for": list(decision.waiting) or None,
        **{one.name: {"mean": one.estimate, "low": one.low, "high": one.high, "n": one.n} for one in decision.measured},
    }
    return views.Decision(
        decision.at_us,
        decision.kind,
        decision.verdict,
        decision.sentence + (f" ({decision.by})" if decision.by else ""),
        {name: value for name, value in numbers.items() if value is not None},
    )


def _monitors(state: MonitorState) -> list[views.Monitor]:
    if not state.findings:
        waiting = views.Monitor(state.monitor, state.monitor, "insufficient", "has not looked yet")
        return [waiting]
    shown = []
    for finding in state.findings:
        series = state.series.get(finding.subject) or next(iter(state.series.values()), ())
        level = series[-1].evidence / state.limit if series and state.limit else None
        values = [point.value for point in series[-60:] if point.value is not None]
        shown.append(
            views.Monitor(
                name=f"{state.monitor} {finding.subject}" if finding.subject else state.monitor,
                kind=state.monitor,
                state="quiet" if finding.state == "ok" else finding.state,
                words=finding.reason,
                matured=finding.matured,
                total=finding.rows,
                level=level if level is not None and math.isfinite(level) else None,
                points=tuple(values),
            )
        )
    return shown


def _alarm(alarm: Alarm) -> views.Alarm:
    return views.Alarm(
        id=alarm.id,
        project=alarm.project_name,
        model=alarm.model_name,
        monitor=f"{alarm.monitor} {alarm.subject}",
        since_us=alarm.opened_us,
        words=alarm.reason,
        acknowledged_by=alarm.acknowledged_by or "",
    )


def _version(platform: Platform, version: Version, champion: int | None) -> views.VersionLine:
    results = platform.checks.results(version.id)
    failed = [result.name for result in results if result.blocks]
    overridden = [f"{result.name} overridden by {result.overridden_by}" for result in results if result.overridden_by]
    passed = f"{len(results) - len(failed)} of {len(results)} passed" if results else "not run"
    return views.VersionLine(
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
