"""Drawings as SVG. Positions are in percent, so a drawing fits any width while its words keep their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from mainspring.edges.web.views import Evidence, Reign, Release
from mainspring.edges.web.words import day, moment, share

_AREA = Markup(
    '<svg x="0" y="{y}" width="100%" height="{h}" viewBox="0 0 100 100" preserveAspectRatio="none">{inside}</svg>'
)


def draw_reigns(reigns: Sequence[Reign], now_us: int) -> Markup:
    """Draw which version was champion when, as one band of time."""
    if not reigns:
        return Markup("")
    start, end = reigns[0].since_us, max(now_us, reigns[-1].since_us + 1)
    parts = []
    for order, reign in enumerate(reigns):
        left = _percent(reign.since_us, start, end)
        width = _percent(reign.until_us or now_us, start, end) - left
        parts.append(_reign(order, reign, left, width, last=order == len(reigns) - 1))
    ends = Markup('<text class="mute" x="0" y="42">{}</text><text class="mute end" x="100%" y="42">{}</text>').format(
        day(start), day(end)
    )
    label = Markup("champions: ") + escape(", ".join(f"{_name(r)} from {day(r.since_us)}" for r in reigns))
    return _svg("reigns", 46, label, [*parts, ends])


def _reign(order: int, reign: Reign, left: float, width: float, *, last: bool) -> Markup:
    tone = "now" if last else ("even" if order % 2 == 0 else "odd")
    box = Markup('<g class="reign {}"><title>{}</title><rect x="{:.2f}%" y="0" width="{:.2f}%" height="26"/>').format(
        tone, f"{_name(reign)} from {day(reign.since_us)}: {reign.reason}", left, max(width - 0.25, 0.2)
    )
    name = Markup('<text x="{:.2f}%" y="17.5" dx="7">{}</text>').format(left, _name(reign)) if width > 7 else Markup("")
    return box + name + Markup("</g>")


def _name(reign: Reign) -> str:
    return f"v{reign.version}" if reign.version is not None else "none"


def draw_evidence(evidence: Evidence, *, height: int = 150) -> Markup:
    """Draw the interval of a difference closing in on 0 and on the margin over the decisions so far."""
    if evidence.lower is None or evidence.upper is None:
        return Markup("")
    limit = evidence.limit or 0.0
    intervals = [(point.lower, point.upper) for point in evidence.points]
    if len(intervals) < 2:
        return draw_interval(evidence)
    reach = _reach(intervals, limit)
    plot = height - 22

    def y(value: float) -> float:
        return 100.0 * (reach - min(max(value, -reach), reach)) / (2 * reach)

    zones = Markup(
        '<rect class="worse" x="0" y="0" width="100" height="{:.2f}"/>'
        '<rect class="fine" x="0" y="{:.2f}" width="100" height="{:.2f}"/>'
    ).format(y(limit), y(limit), 100 - y(limit))
    xs = [100.0 * index / (len(intervals) - 1) for index in range(len(intervals))]
    top = [f"{x:.2f},{y(high):.2f}" for x, (_, high) in zip(xs, intervals, strict=True)]
    low = [f"{x:.2f},{y(low):.2f}" for x, (low, _) in zip(xs, intervals, strict=True)]
    middle = " ".join(f"{x:.2f},{y((a + b) / 2):.2f}" for x, (a, b) in zip(xs, intervals, strict=True))
    band = Markup('<polygon class="band" points="{}"/><polyline class="middle" points="{}"/>').format(
        " ".join([*top, *reversed(low)]), middle
    )
    area = _AREA.format(y=0, h=plot, inside=zones + band)
    rules = _rule(y(0.0) * plot / 100, "zero", "0, equally good")
    if limit:
        rules += _rule(y(limit) * plot / 100, "limit", f"{limit:+.3g}, the margin", above=True)
    first, last = (evidence.points[0].at_us, evidence.points[-1].at_us) if evidence.points else (None, None)
    feet = _feet(height, day(first) if first else "", day(last) if last else "")
    label = f"{evidence.name}: difference between {evidence.lower:+.4f} and {evidence.upper:+.4f}, margin {limit:g}"
    return _svg("evidence", height, label, [area, rules, feet])


def draw_interval(evidence: Evidence) -> Markup:
    """Draw one interval on a line, with 0 and the margin marked."""
    if evidence.lower is None or evidence.upper is None or evidence.estimate is None:
        return Markup("")
    limit = evidence.limit or 0.0
    reach = _reach([(evidence.lower, evidence.upper)], limit)

    def x(value: float) -> float:
        return 50.0 + 50.0 * min(max(value / reach, -1.0), 1.0)

    marks = _mark(x(0.0), "zero", "0")
    if limit:
        marks += _mark(x(limit), "limit", f"{limit:+.3g}")
    span = Markup(
        '<rect class="band" x="{:.2f}%" y="8" width="{:.2f}%" height="10"/>'
        '<circle class="at" cx="{:.2f}%" cy="13" r="4"/>'
    ).format(x(evidence.lower), max(x(evidence.upper) - x(evidence.lower), 0.3), x(evidence.estimate))
    label = f"{evidence.name}: difference between {evidence.lower:+.4f} and {evidence.upper:+.4f}"
    return _svg("evidence single", 40, label, [marks, span])


def _mark(x: float, tone: str, words: str) -> Markup:
    return Markup(
        '<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="2" y2="24"/>'
        '<text class="rule middle-text" x="{1:.2f}%" y="37">{2}</text>'
    ).format(tone, x, words)


def _reach(intervals: Iterable[tuple[float, float]], limit: float) -> float:
    """Return how far up and down to draw: the newest interval whole, early wide ones cut off."""
    *_, (low, high) = intervals
    return max(1.6 * max(abs(low), abs(high)), 2.2 * abs(limit), 1e-9)


def _rule(y: float, tone: str, words: str, *, above: bool = False) -> Markup:
    return Markup(
        '<line class="{0}" x1="0" x2="100%" y1="{1:.1f}" y2="{1:.1f}"/>'
        '<text class="rule" x="0" y="{2:.1f}" dx="7">{3}</text>'
    ).format(tone, y, y - 5 if above else y + 14, words)


def _feet(height: int, left: str, right: str) -> Markup:
    return Markup(
        '<text class="mute" x="0" y="{0}">{1}</text><text class="mute end" x="100%" y="{0}">{2}</text>'
    ).format(height - 5, left, right)


def draw_shares(release: Release, now_us: int, *, height: int = 120) -> Markup:
    """Draw which share of units the challenger answered for over time, in steps; nothing while it is in shadow."""
    end = max(release.ended_us or now_us, release.since_us + 1)
    plot = height - 22

    def x(at_us: int) -> float:
        return min(_percent(at_us, release.since_us, end), 100.0)

    corners, labels = [], []
    following = [*(change.at_us for change in release.shares[1:]), end]
    for change, until_us in zip(release.shares, following, strict=True):
        top = 100.0 - 88.0 * change.share
        corners += [f"{x(change.at_us):.2f},{top:.2f}", f"{x(until_us):.2f},{top:.2f}"]
        if x(until_us) - x(change.at_us) > 6:
            words = share(change.share) if change.share else "shadow"
            labels.append(
                Markup('<text x="{:.2f}%" y="{:.1f}" dx="4">{}</text>').format(
                    x(change.at_us), max(top * plot / 100 - 5, 11), words
                )
            )
    area = Markup('<polygon class="area" points="0,100 {} 100,100"/>').format(" ".join(corners))
    told = ", ".join(f"{share(one.share)} from {moment(one.at_us)}" for one in release.shares)
    inside = [_AREA.format(y=0, h=plot, inside=area), *labels, _feet(height, moment(release.since_us), moment(end))]
    return _svg("shares", height, f"share of units over time: {told}", inside)


def draw_level(level: float) -> Markup:
    """Draw how full a budget is, from nothing to its limit."""
    filled = 100 * min(max(level, 0.0), 1.0)
    return _svg(
        "level",
        6,
        f"{filled:.0f} % of the limit",
        [
            Markup(
                '<rect class="track" width="100%" height="6" rx="3"/>'
                '<rect class="fill" width="{:.1f}%" height="6" rx="3"/>'
            ).format(filled)
        ],
    )


def draw_line(values: Sequence[float], *, height: int = 30) -> Markup:
    """Draw a series as one small line."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    spread = (high - low) or 1.0
    points = " ".join(
        f"{100 * index / (len(known) - 1):.2f},{90 - 80 * (value - low) / spread:.2f}"
        for index, value in enumerate(known)
    )
    inside = Markup('<polyline class="spark" points="{}"/>').format(points)
    label = f"{len(known)} values from {low:.4g} to {high:.4g}, last {known[-1]:.4g}"
    return _svg("line", height, label, [_AREA.format(y=0, h=height, inside=inside)])


def _svg(tone: str, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    return Markup('<svg class="drawing {}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        tone, label, height, Markup("").join(parts)
    )


def _percent(moment_us: int, start_us: int, end_us: int) -> float:
    return 100.0 * (moment_us - start_us) / max(end_us - start_us, 1)
