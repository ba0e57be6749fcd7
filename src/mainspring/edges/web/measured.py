"""Reads what the page shows of one comparison: where it stands, what it needs, and how it came there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from mainspring.edges.web import views
from mainspring.edges.web.words import evidence_number, how_many
from mainspring.release.explain import NAMES
from mainspring.release.terms import ANCHOR, QUALITY

if TYPE_CHECKING:
    from mainspring.release.engine import Decision
    from mainspring.release.evidence.stream import Measured
    from mainspring.release.release import Release

_LOOSE, _LIMITS = 1.6, 2.2  # how much more than the newest interval, or than its limit, is drawn


class Look(NamedTuple):
    """What was known of one challenger at one decision."""

    at_us: int
    measured: tuple[Measured, ...]
    units: int
    immature: int


def decisions_of(release: Release) -> tuple[Decision, ...]:
    """Return the decisions of a release, the latest too, which is kept in its history only if it says something new."""
    newest = release.history[-1].at_us if release.history else -1
    more = (release.decision,) if release.decision is not None and release.decision.at_us > newest else ()
    return (*release.history, *more)


def looks_of(release: Release) -> list[Look]:
    """Return what each decision of a release was taken on; one that took somebody out tells nothing of who is left."""
    return [
        Look(one.at_us, one.measured, one.units, one.immature)
        for one in decisions_of(release)
        if one.measured and one.kind != "drop"
    ]


def read_evidence(
    one: Measured, release: Release, looks: Sequence[Look], *, now_us: int, tone: int = 0
) -> views.Evidence:
    """Return one comparison with its interval at each of ``looks``."""
    metric, ratio = one.role == "metric", one.role == "ratio"
    words, state = _reading(one, release)
    points = _points(one, looks) if metric else ()
    waits = metric and one.name in (QUALITY, ANCHOR) and not release.over
    return views.Evidence(
        name=_name(one, release),
        estimate=one.estimate,
        lower=None if ratio else one.low,
        upper=None if ratio else one.high,
        limit=one.promote_limit if metric else one.stop_limit,
        n=one.n,
        waiting=points[-1].waiting if points and waits else 0,
        words=words,
        state=state,
        unit="units" if one.estimator == "drawn" or ratio else "rows",
        points=points,
        since_us=release.started_us,
        until_us=release.ended_us or now_us,
        over=release.over,
        least=release.terms.minimum_units if metric else 0,
        tone=tone,
    )


def waiting_of(one: Measured, look: Look) -> int:
    """Return how many rows or units were asked about, and were not mature yet for this comparison."""
    return max(look.immature if one.estimator == "paired" else look.units - one.n, 0)


def reach_of(shown: Iterable[views.Evidence]) -> float | None:
    """Return how far up and down several comparisons are drawn, so that one can be held against another."""
    known = [
        max(_LOOSE * max(abs(one.lower), abs(one.upper)), _LIMITS * abs(one.limit or 0.0))
        for one in shown
        if one.lower is not None and one.upper is not None
    ]
    finite = [one for one in known if math.isfinite(one)]
    return max(finite, default=None)


def _name(one: Measured, release: Release) -> str:
    return _named(one, release) + (", asymptotic" if one.asymptotic else "")


def _named(one: Measured, release: Release) -> str:
    metric = release.terms.loss.metric
    match one.name:
        case "quality":
            return f"{metric} against the champion"
        case "quality_against_anchor":
            return f"{metric} against the anchor"
        case _:
            return NAMES.get(one.name, one.name)


def _points(one: Measured, looks: Sequence[Look]) -> tuple[views.Point, ...]:
    points = []
    for look in looks:
        then = next((known for known in look.measured if known.name == one.name), None)
        if then is None or then.low is None or then.high is None:
            continue
        points.append(views.Point(look.at_us, then.low, then.high, then.estimate, then.n, waiting_of(then, look)))
    return tuple(points)


def _reading(one: Measured, release: Release) -> tuple[str, Literal["good", "bad", "open"]]:
    """Return in words where a comparison stands, with its e-value beside the one that it needs."""
    if one.withheld:
        return f"cannot be read yet: {one.withheld}", "open"
    if one.stops:
        bar = f"e = {evidence_number(one.e_stop)}, stops at {evidence_number(one.stop_at)}"
        return f"proven worse: it stops ({bar})", "bad"
    if one.role != "metric":
        return "nothing proven against it", "good"
    bar = f"e = {evidence_number(one.e_promote)} of {evidence_number(one.promote_at)} needed"
    proven = "proven not worse by its margin" if one.promote_limit else "proven better"
    if one.matured < release.terms.minimum_units:
        whose = "" if one.smallest_arm is None else " in the smaller arm"
        have = f"{how_many(one.matured, 'unit')}{whose} of the {release.terms.minimum_units} needed"
        return (f"{proven}, but only {have} ({bar})" if one.good_enough else f"only {have} ({bar})"), "open"
    return (f"{proven} ({bar})", "good") if one.good_enough else (f"not decided yet ({bar})", "open")
