"""Drawings as SVG. Positions are in percent, so a drawing fits any width while its words keep their size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from mainspring.edges.web.views import Evidence, Rehearsal, Reign, Spread, Worth
from mainspring.edges.web.words import day, number, share, signed_short, visible

AREA = Markup(
    '<svg x="0" y="{y}" width="100%" height="{h}" viewBox="0 0 100 100" preserveAspectRatio="none">{inside}</svg>'
)
_HAPPENED = Markup('<svg x="{x:.2f}%" y="{y}" overflow="visible"><path class="happened" d="M0 0 l5 8 h-10 z"/></svg>')
TONES = 8  # in which challengers are drawn; a ninth is drawn as the first


def draw_reigns(reigns: Sequence[Reign], now_us: int) -> Markup:
    """Draw which version was champion when, as one band of time."""
    if not reigns:
        return Markup("")
    start, end = reigns[0].since_us, max(now_us, reigns[-1].since_us + 1)
    parts = []
    for order, reign in enumerate(reigns):
        left = percent(reign.since_us, start, end)
        width = percent(reign.until_us or now_us, start, end) - left
        parts.append(_reign(order, reign, left, width, last=order == len(reigns) - 1))
    ends = Markup('<text class="mute" x="0" y="42">{}</text><text class="mute end" x="100%" y="42">{}</text>').format(
        day(start), day(end)
    )
    label = Markup("champions: ") + escape(", ".join(f"{_name(r)} from {day(r.since_us)}" for r in reigns))
    return svg("reigns", 46, label, [*parts, ends])


def _reign(order: int, reign: Reign, left: float, width: float, *, last: bool) -> Markup:
    tone = "now" if last else ("even" if order % 2 == 0 else "odd")
    box = Markup('<g class="reign {}"><title>{}</title><rect x="{:.2f}%" y="0" width="{:.2f}%" height="26"/>').format(
        tone, visible(f"{_name(reign)} from {day(reign.since_us)}: {reign.reason}"), left, max(width - 0.25, 0.2)
    )
    name = Markup('<text x="{:.2f}%" y="17.5" dx="7">{}</text>').format(left, _name(reign)) if width > 7 else Markup("")
    return box + name + Markup("</g>")


def _name(reign: Reign) -> str:
    return f"v{reign.version}" if reign.version is not None else "none"


def draw_interval(evidence: Evidence) -> Markup:
    """Draw one interval on a line, with 0 and the margin marked."""
    if evidence.lower is None or evidence.upper is None or evidence.estimate is None:
        return Markup("")
    limit = evidence.limit or 0.0
    reach = reach_up_and_down([(evidence.lower, evidence.upper)], limit)

    def x(value: float) -> float:
        return 50.0 + 50.0 * min(max(value / reach, -1.0), 1.0)

    marks = _mark(x(0.0), "zero", "0", "0 equal", before=limit > 0)
    if limit:
        marks += _mark(x(limit), "limit", f"{signed_short(limit)}", "limit", before=limit < 0)
    span = Markup(
        '<rect class="band" x="{:.2f}%" y="8" width="{:.2f}%" height="10"/>'
        '<circle class="at" cx="{:.2f}%" cy="13" r="4"/>'
    ).format(x(evidence.lower), max(x(evidence.upper) - x(evidence.lower), 0.3), x(evidence.estimate))
    label = f"{evidence.name}: difference between {evidence.lower:+.4f} and {evidence.upper:+.4f}, limit {limit:g}"
    return svg("evidence single", 40, label, [marks, span])


def _mark(x: float, tone: str, words: str, told: str, *, before: bool) -> Markup:
    """Draw a rule with its number on the side that no other rule stands on."""
    return Markup(
        '<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="2" y2="26"><title>{5}</title></line>'
        '<text class="rule {3}" x="{1:.2f}%" y="37" dx="{4}">{2}</text>'
    ).format(tone, x, words, "end" if before else "start", 3 if before else -3, told)


def reach_up_and_down(intervals: Iterable[tuple[float, float]], limit: float) -> float:
    """Return how far up and down to draw: the newest interval whole, early wide ones cut off."""
    *_, (low, high) = intervals
    return max(1.6 * max(abs(low), abs(high)), 2.2 * abs(limit), 1e-9)


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
    return svg("chances", 32, f"of the plays: {told}{ended}", parts)


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
    marks += Markup('<text class="mute" x="0" y="36">0</text><text class="mute end" x="100%" y="36">{}</text>').format(
        number(float(most))
    )
    label = f"{spread.name}: median {spread.median:.3g}, most between {spread.p10:.3g} and {spread.p90:.3g}"
    return svg("spread", 40, label, [marks])


def draw_swatch(order: int) -> Markup:
    """Draw the tone that the shares of one of several challengers are drawn in."""
    box = Markup('<rect class="area tone-{}" x="1" y="1" width="10" height="10"/>').format(order % TONES)
    return Markup('<svg class="drawing shares swatch" aria-hidden="true" width="12" height="12">{}</svg>').format(box)


def draw_level(level: float) -> Markup:
    """Draw how full a budget is, from nothing to its limit."""
    filled = 100 * min(max(level, 0.0), 1.0)
    return svg(
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


def draw_worth(worth: Worth) -> Markup:
    """Draw the interval of what a version would have been worth, and a mark below it for what was really done."""
    if worth.low is None or worth.high is None or worth.estimate is None:
        return Markup("")
    known = [worth.low, worth.high, *([worth.logged] if worth.logged is not None else [])]
    low, high = min(known), max(known)
    around = max((high - low) * 0.15, 1e-9)
    low, high = low - around, high + around

    def x(value: float) -> float:
        return 100.0 * (value - low) / (high - low)

    marks = Markup(
        '<line class="track" x1="0" x2="100%" y1="13" y2="13"/>'
        '<rect class="band" x="{:.2f}%" y="8" width="{:.2f}%" height="10"/>'
        '<circle class="at" cx="{:.2f}%" cy="13" r="4"/>'
    ).format(x(worth.low), max(x(worth.high) - x(worth.low), 0.3), x(worth.estimate))
    marks += Markup('<text class="mute" x="0" y="40">{}</text><text class="mute end" x="100%" y="40">{}</text>').format(
        number(float(low)), number(float(high))
    )
    told = f"worth {worth.estimate:.4g}, between {worth.low:.4g} and {worth.high:.4g}"
    if worth.logged is not None:
        marks += _HAPPENED.format(x=x(worth.logged), y=20)
        told += f"; what was done was worth {worth.logged:.4g}"
    return svg("evidence spread single", 44, told, [marks])


def svg(tone: str, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    """Return a drawing as wide as its place, with what it shows in words."""
    return Markup('<svg class="drawing {}" role="img" aria-label="{}" width="100%" height="{}">{}</svg>').format(
        tone, visible(label) if type(label) is str else label, height, Markup("").join(parts)
    )


def percent(moment_us: int, start_us: int, end_us: int) -> float:
    """Return where a moment lies between two others."""
    return 100.0 * (moment_us - start_us) / max(end_us - start_us, 1)
