"""Drawings as SVG. Positions are in percent, so a drawing fits any width while its words keep their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from mainspring.edges.web.views import Evidence, Rehearsal, Reign, Release, Share, Spread
from mainspring.edges.web.words import day, moment, share, visible

_AREA = Markup(
    '<svg x="0" y="{y}" width="100%" height="{h}" viewBox="0 0 100 100" preserveAspectRatio="none">{inside}</svg>'
)
_HAPPENED = Markup('<svg x="{x:.2f}%" y="{y}" overflow="visible"><path class="happened" d="M0 0 l5 8 h-10 z"/></svg>')
_FEET = 22  # px below a plot, for its first and last day
_APART = 13.0  # px between two lines of words


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
        tone, visible(f"{_name(reign)} from {day(reign.since_us)}: {reign.reason}"), left, max(width - 0.25, 0.2)
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
    points = evidence.points
    if len(points) < 2:
        return draw_interval(evidence)
    reach = _reach([(point.lower, point.upper) for point in points], limit)
    plot, start, end = height - _FEET, min(evidence.since_us, points[0].at_us), points[-1].at_us

    def y(value: float) -> float:
        return 100.0 * (reach - min(max(value, -reach), reach)) / (2 * reach)

    xs = [_percent(point.at_us, start, end) for point in points]
    top = [f"{x:.2f},{y(point.upper):.2f}" for x, point in zip(xs, points, strict=True)]
    low = [f"{x:.2f},{y(point.lower):.2f}" for x, point in zip(xs, points, strict=True)]
    middle = " ".join(f"{x:.2f},{y((p.lower + p.upper) / 2):.2f}" for x, p in zip(xs, points, strict=True))
    band = Markup('<polygon class="band" points="{}"/><polyline class="middle" points="{}"/>').format(
        " ".join([*top, *reversed(low)]), middle
    )
    marks = [(y(0.0), "zero", "0 equal"), *([(y(limit), "limit", f"{limit:+.3g} margin")] if limit else [])]
    rules = Markup("").join(_line(at, tone) for at, tone, _ in marks)
    area = _AREA.format(y=0, h=plot, inside=_zones(y(limit)) + band + rules)
    label = f"{evidence.name}: difference between {evidence.lower:+.4f} and {evidence.upper:+.4f}, margin {limit:g}"
    drawn = _svg("evidence", height, label, [area, _feet(height, day(start), day(end))])
    return _beside(drawn, [(at * plot / 100, words) for at, _, words in marks], height, ends=("worse", "better"))


def _zones(limit_y: float) -> Markup:
    return Markup(
        '<rect class="worse" x="0" y="0" width="100" height="{0:.2f}"/>'
        '<rect class="fine" x="0" y="{0:.2f}" width="100" height="{1:.2f}"/>'
    ).format(limit_y, 100 - limit_y)


def _line(y: float, tone: str) -> Markup:
    return Markup('<line class="{0}" x1="0" x2="100" y1="{1:.2f}" y2="{1:.2f}"/>').format(tone, y)


def _beside(drawn: Markup, marks: Sequence[tuple[float, str]], height: int, *, ends: Sequence[str] = ()) -> Markup:
    """Put words beside a drawing at their heights in px, none over another: the first ones count most."""
    plot = height - _FEET
    wanted = [(min(max(y + 4.0, 9.0), plot - 1.0), words) for y, words in marks]
    if len(wanted) == 2 and abs(wanted[0][0] - wanted[1][0]) < _APART:  # two rules that nearly meet
        (first, said), (second, also) = wanted
        away = _APART if second >= first else -_APART
        wanted = [(first, said), (first + away, also)]
    wanted += zip((9.0, plot - 1.0), ends, strict=False)
    placed: list[tuple[float, str]] = []
    for y, words in wanted:
        if all(abs(y - known) >= _APART for known, _ in placed):
            placed.append((y, words))
    words = Markup("").join(Markup('<text class="mute" x="0" y="{:.1f}">{}</text>').format(*one) for one in placed)
    ticks = Markup('<svg class="drawing ticks" aria-hidden="true" height="{}">{}</svg>').format(height, words)
    return Markup('<div class="drawn">{}{}</div>').format(drawn, ticks)


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


def _feet(height: int, left: str, right: str) -> Markup:
    return Markup(
        '<text class="mute" x="0" y="{0}">{1}</text><text class="mute end" x="100%" y="{0}">{2}</text>'
    ).format(height - 5, left, right)


def draw_shares(release: Release, now_us: int, *, height: int = 130) -> Markup:
    """Draw which shares of units the challengers answered for over time, in steps; nothing while all are in shadow."""
    end = max(release.ended_us or now_us, release.since_us + 1)
    plot, names = height - _FEET, [name for name, _ in release.shares[0].arms]
    edges = [min(_percent(one.at_us, release.since_us, end), 100.0) for one in release.shares] + [100.0]
    below = [0.0] * len(release.shares)
    areas, labels = [], []
    for order, name in enumerate(names):
        above = [low + one.arms[order][1] for low, one in zip(below, release.shares, strict=True)]
        areas.append(_arm(order, name, edges, below, above))
        if len(names) > 1 and above[-1] - below[-1] > 0.13:
            labels.append((_share_y((above[-1] + below[-1]) / 2, plot), f"{name} {share(above[-1] - below[-1])}"))
        below = above
    ahead = [(_share_y(step, plot), share(step)) for step in release.ahead]
    rules = Markup("").join(_line(100 * y / plot, "ahead") for y, _ in ahead) + _line(
        100 * _share_y(1, plot) / plot, "whole"
    )
    told = ", ".join(f"{_shared(one)} from {moment(one.at_us)}" for one in release.shares)
    inside = [
        _AREA.format(y=0, h=plot, inside=Markup("").join([*rules, *areas])),
        *(_steps_said(release, edges, plot) if len(names) == 1 else ()),
        _feet(height, moment(release.since_us), moment(end)),
    ]
    marks = [*reversed(labels), *ahead, (_share_y(1, plot), "100 %"), (_share_y(0, plot), "0 %")]
    return _beside(_svg("shares", height, f"share of units over time: {told}", inside), marks, height)


def _share_y(share: float, plot: float) -> float:
    return plot * (1.0 - 0.9 * share)


def _arm(order: int, name: str, edges: Sequence[float], below: Sequence[float], above: Sequence[float]) -> Markup:
    top, low = [], []
    for place, (under, over) in enumerate(zip(below, above, strict=True)):
        top += [f"{x:.2f},{_share_y(over, 100):.2f}" for x in edges[place : place + 2]]
        low += [f"{x:.2f},{_share_y(under, 100):.2f}" for x in edges[place : place + 2]]
    return Markup('<polygon class="area arm-{}" points="{}"><title>{}</title></polygon>').format(
        order % 4, " ".join([*top, *reversed(low)]), name
    )


def _steps_said(release: Release, edges: Sequence[float], plot: int) -> list[Markup]:
    """Return the share of each step that is wide enough to be written on."""
    said = []
    for place, one in enumerate(release.shares):
        if edges[place + 1] - edges[place] > 6:
            words = share(one.share) if one.share else "shadow"
            y = max(_share_y(one.share, plot) - 5, 10)
            text = Markup('<text class="rule" x="{:.2f}%" y="{:.1f}" dx="4">{}</text>')
            said.append(text.format(edges[place], y, words))
    return said


def _shared(one: Share) -> str:
    several = ", ".join(f"{name} {share(own)}" for name, own in one.arms if own)
    return several if len(one.arms) > 1 and several else share(one.share)


def draw_chances(rehearsal: Rehearsal) -> Markup:
    """Draw how often plays ended in which way, as parts of one bar; a mark stands below what happened."""
    parts, left = [], 0.0
    for one in rehearsal.chances:
        width = 100.0 * one.share
        tone = one.name.replace(" ", "-")
        box = Markup('<rect class="{}" x="{:.2f}%" y="0" width="{:.2f}%" height="20"><title>{}</title></rect>')
        parts.append(box.format(tone, left, width, f"{one.name} {share(one.share)}"))
        if width > 12:
            text = Markup('<text class="on" x="{:.2f}%" y="14.5" dx="6">{}</text>')
            parts.append(text.format(left, share(one.share)))
        if rehearsal.ended == one.name:
            parts.append(_HAPPENED.format(x=left + width / 2, y=22))
        left += width
    told = ", ".join(f"{one.name} {share(one.share)}" for one in rehearsal.chances)
    ended = f"; {rehearsal.happened}" if rehearsal.happened else ""
    return _svg("chances", 32, f"of the plays: {told}{ended}", parts)


def draw_spread(spread: Spread) -> Markup:
    """Draw from where to where the middle four fifths of plays lie, the median, and what happened."""
    most = max(spread.most, spread.happened or 0.0, 1e-9)

    def x(value: float) -> float:
        return 100.0 * min(max(value / most, 0.0), 1.0)

    marks = Markup(
        '<line class="track" x1="0" x2="100%" y1="9" y2="9"/>'
        '<rect class="band" x="{0:.2f}%" y="4" width="{1:.2f}%" height="10"/>'
        '<line class="median" x1="{2:.2f}%" x2="{2:.2f}%" y1="1" y2="17"/>'
    ).format(x(spread.p10), max(x(spread.p90) - x(spread.p10), 0.4), x(spread.median))
    if spread.happened is not None:
        marks += _HAPPENED.format(x=x(spread.happened), y=18)
    label = f"{spread.name}: median {spread.median:.3g}, most between {spread.p10:.3g} and {spread.p90:.3g}"
    return _svg("spread", 28, label, [marks])


def draw_swatch(order: int) -> Markup:
    """Draw the tone that the shares of one of several challengers are drawn in."""
    box = Markup('<rect class="area arm-{}" x="1" y="1" width="10" height="10"/>').format(order % 4)
    return Markup('<svg class="drawing shares swatch" aria-hidden="true" width="12" height="12">{}</svg>').format(box)


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
        tone, visible(label) if type(label) is str else label, height, Markup("").join(parts)
    )


def _percent(moment_us: int, start_us: int, end_us: int) -> float:
    return 100.0 * (moment_us - start_us) / max(end_us - start_us, 1)
