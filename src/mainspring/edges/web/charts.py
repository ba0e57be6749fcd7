"""Drawings over the time of a release, all from its first to its last moment, so that one stands below the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from mainspring.edges.web.drawings import AREA, TONES, draw_interval, percent, reach_up_and_down, svg
from mainspring.edges.web.views import Evidence, Monitor, Point, Release, Share
from mainspring.edges.web.words import day, how_many, moment, number, share, signed_short, visible
from mainspring.kernel.duration import DAY_US

_FEET = 22  # px below a plot, for its first and last day
_APART = 13.0  # px between two lines of words
_COUNTS, _GAP = 30, 10  # px of the strip that counts are drawn in, and above it
_SINCE = 0.04  # how much of its time a release is drawn on after its end, for what it ended with to be seen


def draw_evidence(evidence: Evidence, changes: Sequence[tuple[int, str]] = (), *, height: int = 190) -> Markup:
    """Draw the interval of a difference closing in on 0 and on its limit, and below it the counts that it rests on."""
    if evidence.lower is None or evidence.upper is None:
        return Markup("")
    points = evidence.points
    if len(points) < 2:
        return draw_interval(evidence)
    limit = evidence.limit or 0.0
    reach = evidence.reach or reach_up_and_down([(point.lower, point.upper) for point in points], limit)
    plot = height - _FEET - _COUNTS - _GAP
    start, until = min(evidence.since_us, points[0].at_us), max(evidence.until_us, points[-1].at_us)
    end = _shown_until(start, until) if evidence.over else until

    def y(value: float) -> float:
        return 100.0 * (reach - min(max(value, -reach), reach)) / (2 * reach)

    xs = [percent(point.at_us, start, end) for point in points]
    marks = [(y(0.0), "zero", "0 equal"), *([(y(limit), "limit", f"{signed_short(limit)} limit")] if limit else [])]
    rules = Markup("").join(_line(at, tone) for at, tone, _ in marks)
    changed = Markup("").join(_change(percent(at_us, start, end), said) for at_us, said in changes)
    inside = _zones(y(limit)) + changed + _band(evidence, xs, y) + rules
    counts, most = _counts(evidence, xs)
    drawn = svg(
        f"evidence tone-{evidence.tone % TONES}", height, _told(evidence, points),
        [AREA.format(y=0, h=plot, inside=inside), AREA.format(y=plot + _GAP, h=_COUNTS, inside=counts),
         _feet(height, start, until)],
    )  # fmt: skip
    ends = (f"{signed_short(reach)} worse", f"{signed_short(-reach)} better")
    said = place([(at * plot / 100, words) for at, _, words in marks], plot, ends=ends)
    said += [(plot + _GAP + 9.0, f"{number(most)} rows" if evidence.unit == "rows" else f"{number(most)} units")]
    return _beside(drawn, [*said, (plot + _GAP + _COUNTS, "0")], height)


def _shown_until(start_us: int, ended_us: int) -> int:
    return ended_us + round(_SINCE * (ended_us - start_us))


def _told(evidence: Evidence, points: Sequence[Point]) -> str:
    first, last = points[0], points[-1]
    return (
        f"{evidence.name}: difference between {first.lower:+.4f} and {first.upper:+.4f} on {moment(first.at_us)}, "
        f"between {last.lower:+.4f} and {last.upper:+.4f} on {moment(last.at_us)}, limit {evidence.limit or 0:g}; "
        f"{how_many(last.n, evidence.unit.removesuffix('s'))} matured, {number(last.waiting)} waiting"
    )


def _band(evidence: Evidence, xs: Sequence[float], y: Callable[[float], float]) -> Markup:
    top = [f"{x:.2f},{y(point.upper):.2f}" for x, point in zip(xs, evidence.points, strict=True)]
    low = [f"{x:.2f},{y(point.lower):.2f}" for x, point in zip(xs, evidence.points, strict=True)]
    middle = " ".join(f"{x:.2f},{y(p.estimate):.2f}" for x, p in zip(xs, evidence.points, strict=True))
    return Markup('<polygon class="band" points="{}"/><polyline class="middle" points="{}"/>').format(
        " ".join([*top, *reversed(low)]), middle
    )


def _counts(evidence: Evidence, xs: Sequence[float]) -> tuple[Markup, int]:
    """Return rows that had matured, those that waited above them, and the most that there were of both."""
    points = evidence.points
    most = max(*(point.n + point.waiting for point in points), evidence.least, 1)

    def y(count: int) -> float:
        return 100.0 * (1.0 - count / most)

    asked = [f"{x:.2f},{y(point.n + point.waiting):.2f}" for x, point in zip(xs, points, strict=True)]
    grown = [f"{x:.2f},{y(point.n):.2f}" for x, point in zip(xs, points, strict=True)]
    floor = [f"{xs[-1]:.2f},100", f"{xs[0]:.2f},100"]
    least = _line(y(evidence.least), "least") if evidence.least else Markup("")
    areas = Markup('<polygon class="waiting" points="{}"/><polygon class="matured" points="{}"/>')
    return areas.format(" ".join([*asked, *reversed(grown)]), " ".join([*grown, *floor])) + least, most


def _change(x: float, said: str) -> Markup:
    return Markup('<line class="change" x1="{0:.2f}" x2="{0:.2f}" y1="0" y2="100"><title>{1}</title></line>').format(
        min(x, 99.9), visible(said)
    )


def _zones(limit_y: float) -> Markup:
    return Markup(
        '<rect class="worse" x="0" y="0" width="100" height="{0:.2f}"/>'
        '<rect class="fine" x="0" y="{0:.2f}" width="100" height="{1:.2f}"/>'
    ).format(limit_y, 100 - limit_y)


def _line(y: float, tone: str) -> Markup:
    return Markup('<line class="{0}" x1="0" x2="100" y1="{1:.2f}" y2="{1:.2f}"/>').format(tone, y)


def place(marks: Sequence[tuple[float, str]], plot: float, *, ends: Sequence[str] = ()) -> list[tuple[float, str]]:
    """Return words beside a plot at their heights in px, none over another: the first ones count most."""
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
    return placed


def _beside(drawn: Markup, placed: Sequence[tuple[float, str]], height: int) -> Markup:
    words = Markup("").join(Markup('<text class="mute" x="0" y="{:.1f}">{}</text>').format(*one) for one in placed)
    ticks = Markup('<svg class="drawing ticks" aria-hidden="true" height="{}">{}</svg>').format(height, words)
    return Markup('<div class="drawn">{}{}</div>').format(drawn, ticks)


def _feet(height: int, start_us: int, end_us: int) -> Markup:
    """Return the first and the last moment below a plot, and the middle one where days are enough to tell them."""
    days = end_us - start_us > 4 * DAY_US
    words = day if days else moment
    middle = Markup("")
    if days:
        middle = Markup('<text class="mute middle-text" x="50%" y="{}">{}</text>').format(
            height - 5, day((start_us + end_us) // 2)
        )
    ends = Markup('<text class="mute" x="0" y="{0}">{1}</text><text class="mute end" x="100%" y="{0}">{2}</text>')
    return ends.format(height - 5, words(start_us), words(end_us)) + middle


def draw_shares(release: Release, now_us: int, *, height: int = 150) -> Markup:
    """Draw who answered for which shares of units over time, in steps: the challengers, and the champion above them."""
    end = max(release.ended_us or now_us, release.since_us + 1)
    shown_until = _shown_until(release.since_us, end) if release.ended_us else end
    plot, names = height - _FEET, [name for name, _ in release.shares[0].arms]
    edges = [min(percent(one.at_us, release.since_us, shown_until), 100.0) for one in release.shares] + [100.0]
    below = [0.0] * len(release.shares)
    areas, labels = [], []
    for order, name in enumerate(names):
        above = [low + one.arms[order][1] for low, one in zip(below, release.shares, strict=True)]
        areas.append(_arm(order, name, edges, below, above))
        if above[-1] - below[-1] > 0.13:
            labels.append((_share_y((above[-1] + below[-1]) / 2, plot), f"{name} {share(above[-1] - below[-1])}"))
        below = above
    if below[-1] < 0.87:
        labels.append((_share_y((1 + below[-1]) / 2, plot), f"{release.champion} {share(1 - below[-1])}"))
    champion = _arm(0, release.champion, edges, below, [1.0] * len(below), champion=True)
    ahead = [(_share_y(step, plot), share(step)) for step in release.ahead]
    rules = Markup("").join(_line(100 * y / plot, "ahead") for y, _ in ahead)
    told = ", ".join(f"{_shared(one)} from {moment(one.at_us)}" for one in release.shares)
    inside = [
        AREA.format(y=0, h=plot, inside=Markup("").join([champion, *areas, rules])),
        *(_steps_said(release, edges, plot) if len(names) == 1 else ()),
        _feet(height, release.since_us, end),
    ]
    marks = [*reversed(labels), *ahead, (_share_y(1, plot), "100 %"), (_share_y(0, plot), "0 %")]
    return _beside(svg("shares", height, f"share of units over time: {told}", inside), place(marks, plot), height)


def _share_y(share: float, plot: float) -> float:
    return plot * (1.0 - 0.97 * share)


def _arm(
    order: int, name: str, edges: Sequence[float], below: Sequence[float], above: Sequence[float], *,
    champion: bool = False,
) -> Markup:  # fmt: skip
    top, low = [], []
    for place, (under, over) in enumerate(zip(below, above, strict=True)):
        top += [f"{x:.2f},{_share_y(over, 100):.2f}" for x in edges[place : place + 2]]
        low += [f"{x:.2f},{_share_y(under, 100):.2f}" for x in edges[place : place + 2]]
    tone = "champion-area" if champion else f"area tone-{order % TONES}"
    return Markup('<polygon class="{}" points="{}"><title>{}</title></polygon>').format(
        tone, " ".join([*top, *reversed(low)]), name
    )


def _steps_said(release: Release, edges: Sequence[float], plot: int) -> list[Markup]:
    """Return the share of each step that is wide enough to be written on."""
    said = []
    for place, one in enumerate(release.shares):
        if edges[place + 1] - edges[place] > 6:
            words = share(one.share) if one.share else "shadow"
            y = max(_share_y(one.share, plot) - 5, 12)
            text = Markup('<text class="rule" x="{:.2f}%" y="{:.1f}" dx="4">{}</text>')
            said.append(text.format(edges[place], y, words))
    return said


def _shared(one: Share) -> str:
    several = ", ".join(f"{name} {share(own)}" for name, own in one.arms if own)
    return several if len(one.arms) > 1 and several else share(one.share)


def draw_windows(monitor: Monitor, *, height: int = 74) -> Markup:
    """Draw the value of a monitor over its windows, with its least, its greatest, and its first and last day."""
    windows = monitor.points
    if len(windows) < 2:
        return Markup("")
    values = [one.value for one in windows]
    low, high = min(values), max(values)
    spread, plot = (high - low) or 1.0, height - _FEET
    start, end = windows[0].at_us, windows[-1].at_us
    points = " ".join(
        f"{percent(one.at_us, start, end):.2f},{94 - 88 * (one.value - low) / spread:.2f}" for one in windows
    )
    inside = Markup('<polyline class="spark" points="{}"/>').format(points)
    label = (
        f"{monitor.name}: {len(windows)} windows from {moment(start)} to {moment(end)}, "
        f"values from {low:.4g} to {high:.4g}, last {values[-1]:.4g}"
    )
    drawn = svg("line", height, label, [AREA.format(y=0, h=plot, inside=inside), _feet(height, start, end)])
    ends = [(9.0, number(float(high))), (plot - 1.0, number(float(low)))] if high > low else [(plot / 2, number(low))]
    return _beside(drawn, ends, height)
