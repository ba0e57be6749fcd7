"""Reads what the page shows of releases; nothing is computed that the services do not know already."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.verbs.release import OneRelease, recompute
from mainspring.edges.web import views
from mainspring.edges.web.commands import Order, change_order, orders_for
from mainspring.edges.web.contests import read_contenders
from mainspring.edges.web.facts import read_facts
from mainspring.edges.web.measured import looks_of, read_evidence
from mainspring.edges.web.policies import change_of
from mainspring.edges.web.rehearsals import rehearsal_of
from mainspring.edges.web.words import number, plain_words, sentence_case, share, signed
from mainspring.kernel.duration import DAY_US
from mainspring.ledger.queries import entries
from mainspring.registry.alias import CHAMPION
from mainspring.release.comparison import ALL
from mainspring.release.effects import KINDS
from mainspring.release.explain import NAMES, explain
from mainspring.release.terms import QUALITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mainspring.ledger.chain import Entry
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow
    from mainspring.release.comparison import Sample, Slice
    from mainspring.release.engine import Decision
    from mainspring.release.evidence.stream import Measured
    from mainspring.release.release import Release

_PAST_RELEASES = 4
_SAMPLE_ROWS = 12
_MOST_SLICES = 20
_MOST_RELEASES = 200
_MOST_DECISIONS = 200


def read_release(platform: Platform, id: str) -> views.Release:
    """Return one release with all its evidence and decisions."""
    release = platform.releases.get(id)
    return _release(platform, release, platform.registry.model(None, release.model), whole=True)


def read_again(platform: Platform, id: str) -> tuple[views.Release, tuple[views.Again, ...]]:
    """Return a release, and each of its decisions worked out again from the log."""
    found = recompute(platform, OneRelease(release=id), "")
    again = (views.Again(one.at_us, one.kind, one.reason, one.equal, one.difference) for one in found)
    return read_release(platform, id), tuple(again)


def read_releases(platform: Platform, row: ModelRow, *, brief: bool) -> tuple[views.Release, ...]:
    """Return a model's releases, those that run first, the newest first; ``brief`` leaves out most that are over."""
    running = list(reversed(platform.releases.running(row.id)))
    most = _PAST_RELEASES if brief else _MOST_RELEASES
    over = list(reversed(platform.releases.list(row.id, False, newest=most)))
    detailed = [platform.releases.get(release.id) for release in running]
    return tuple(_release(platform, release, row) for release in detailed + over)


def _release(platform: Platform, release: Release, row: ModelRow, *, whole: bool = False) -> views.Release:
    shown = [one for one in release.evidence if whole or one.role == "metric" or one.stops]
    decision, now_us = release.decision, platform.clock.now_us()
    looks = looks_of(release)
    about = _entries(platform, release) if whole else []
    told = _decisions(release.history, about)
    return views.Release(
        id=release.id,
        project=row.project_name,
        model=row.name,
        challenger=f"v{release.challenger_number}" + (f" {release.recipe}" if release.recipe else ""),
        champion=f"v{release.champion_number}",
        challenger_id=release.challenger,
        champion_id=release.champion,
        others=len(release.contenders) - 1 if release.contenders else 0,
        stage=release.stage,
        share=release.share,
        status=release.status,
        running=not release.over,
        since_us=release.started_us,
        deadline_us=None if release.over else release.deadline_us,
        steps=_steps(_way(release), release),
        ahead=tuple(release.terms.steps[release.step :]) if not release.over else (),
        evidence=tuple(read_evidence(one, release, looks, now_us=now_us) for one in shown),
        immature=decision.immature if decision is not None else 0,
        decisions=told[-_MOST_DECISIONS:],
        more_decisions=max(len(told) - _MOST_DECISIONS, 0),
        policy=msgspec.to_builtins(release.policy),
        words=_words(release, now_us),
        ended_us=release.ended_us,
        shares=_shares(release),
        orders=_orders(platform, release) if whole else (),
        told=tuple(explain(release, about)) if whole else (),
        contenders=read_contenders(release, now_us),
        changes=tuple((one.at_us, one.sentence) for one in release.history if one.kind not in ("wait", "reweigh")),
        won=_won(release),
        rewarded=release.terms.strategy == "bandit",
        facts=read_facts(release, now_us) if whole else (),
        to_sign=not release.over and release.terms.approval is not None and release.approved is None,
        slices=tuple(_slice(one) for one in release.disagreement[:_MOST_SLICES]),
        change=change_order(release.id) if whole and not release.over else None,
        rehearsed=rehearsal_of(platform, release) if whole else None,
        changeable=change_of(release.policy) if whole and not release.over else None,
        approved=f"{release.approved.by}: {release.approved.reason}" if release.approved else "",
    )


def _won(release: Release) -> str:
    """Return the one of several challengers that went on by itself; a bandit's winner is promoted at once."""
    if release.terms.strategy == "bandit":
        return ""
    return next((f"v{one.number}" for one in release.contenders if one.status == "won"), "")


def read_sample(platform: Platform, id: str) -> tuple[views.Release, tuple[views.Row, ...]]:
    """Return a release, and rows for whoever has to sign it off: the largest differences, and some by chance."""
    release = platform.releases.get(id)
    rows = tuple(
        views.Row(
            one.prediction_id,
            one.entity,
            one.asked,
            f"{one.champion_class} ({one.champion:.2f})" if one.champion_class else one.champion,
            _theirs(one) if one.challenger_class else one.challenger,
            one.difference,
            one.outcome_class or one.outcome,
        )
        for one in platform.releases.reports.sample(release, _SAMPLE_ROWS)
    )
    return _release(platform, release, platform.registry.model(None, release.model)), rows


def _theirs(one: Sample) -> str:
    """Return the challenger's class, and what it gave to the champion's."""
    if one.challenger_class == one.champion_class:
        return f"{one.challenger_class} ({one.challenger:.2f})"
    return f"{one.challenger_class} ({one.champion_class} {one.challenger:.2f})"


def _slice(one: Slice) -> views.Slice:
    name = "all rows" if one.column == ALL and not one.value else f"{one.column} = {one.value}"
    return views.Slice(name, one.rows, one.mean, one.mean_absolute, one.largest)


def _shares(release: Release) -> tuple[views.Share, ...]:
    """Return when shares of units changed, from the start in shadow to the end; of each challenger where several."""
    names = [f"v{one.number}" for one in release.contenders] or [f"v{release.challenger_number}"]
    changes = [views.Share(release.started_us, tuple((name, 0.0) for name in names))]
    for decision in release.history:
        then = _shares_after(decision, names, f"v{release.challenger_number}")
        if then != changes[-1].arms:
            changes.append(views.Share(decision.at_us, then))
    return tuple(changes)


def _shares_after(decision: Decision, names: list[str], leading: str) -> tuple[tuple[str, float], ...]:
    if decision.kind == "promote":
        return tuple((name, 1.0 if name == leading else 0.0) for name in names)
    drawn = {f"v{one.number}": one.share for one in decision.contenders}
    if not any(drawn.values()):  # one alone is drawn to, or none
        drawn = {leading: decision.share}
    return tuple((name, drawn.get(name, 0.0)) for name in names)


def _orders(platform: Platform, release: Release) -> tuple[Order, ...]:
    champion = platform.registry.alias(release.model, CHAMPION)
    return orders_for(release, champion=champion is not None and champion.id == release.challenger)


def _entries(platform: Platform, release: Release) -> list[Entry]:
    with platform.store.read() as connection:
        return entries(connection, subject=release.id)


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
    said = decision.sentence if decision is not None else "it has just begun, and nothing was looked at yet"
    if release.over:
        return sentence_case(said + _deciding(release))
    where = "in shadow" if release.stage == "shadow" else f"answers {share(release.share)} of units"
    sentence = f"Day {(now_us - release.started_us) // DAY_US + 1}, {where}: {said}."
    if release.forecast is not None and release.forecast.days:
        sentence += f" A decision was forecast for day {math.ceil(release.forecast.days)}."
    more = [plain_words(word) for word in (decision.waiting[1:] if decision is not None else ())]
    return sentence + (f" Also waits for: {', '.join(more)}." if more else "")


def _deciding(release: Release) -> str:
    """Return the comparison that decided, in numbers."""
    one = next((one for one in release.evidence if one.stops), None)
    one = one or next((one for one in release.evidence if one.role == "metric"), None)
    if one is None:
        return ""
    name = release.terms.loss.metric if one.name == QUALITY else NAMES.get(one.name, one.name)
    return f" ({plain_words(name)} {signed(one.estimate)}{_span(one)}, n = {number(one.n)})"


def _span(one: Measured) -> str:
    if one.low is None or one.high is None:
        return f", no interval: {one.withheld}"
    return f" [{signed(one.low)}, {signed(one.high)}]" + (", asymptotic" if one.asymptotic else "")


def _numbers(one: Measured) -> dict[str, Any]:
    label = {"asymptotic": one.withheld or "yes"} if one.asymptotic else {}
    return {"mean": one.estimate, "low": one.low, "high": one.high, **label}


def _decisions(history: tuple[Decision, ...], about: Sequence[Entry]) -> tuple[views.Decision, ...]:
    """Return decisions, oldest first; of those that wait for the same thing in a row, the latest, and since when."""
    numbers = {(one.kind, one.at_us): one.seq for one in about}
    found: list[views.Decision] = []
    for _, same in groupby(history, key=lambda one: (one.kind, one.reason, one.by, one.kind == "wait" or one.at_us)):
        alike = list(same)
        seq = numbers.get((KINDS.get(alike[-1].kind, ""), alike[-1].at_us))
        found.append(_decision(alike[-1], len(alike), alike[0].at_us, seq))
    return tuple(found)


def _decision(decision: Decision, times: int, since_us: int, seq: int | None) -> views.Decision:
    numbers = {
        "share": decision.share,
        "units": decision.units,
        "coverage": decision.coverage,
        "labelled share": decision.labelled_share,
        "waits for": list(decision.waiting) or None,
        **{one.name: {**_numbers(one), "n": one.n} for one in decision.measured},
    }
    return views.Decision(
        decision.at_us,
        decision.kind,
        decision.verdict,
        decision.sentence + (f" ({decision.by})" if decision.by else ""),
        {name: value for name, value in numbers.items() if value is not None},
        times=times,
        since_us=since_us,
        ledger=seq,
    )
