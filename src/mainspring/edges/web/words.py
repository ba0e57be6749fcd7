"""Values in the words of the page."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from mainspring.kernel.clock import from_us

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_MOST = 8  # of a list of plain things
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def visible(text: str) -> str:
    """Return a text in which signs that nobody sees, or that turn round what follows them, are written out.

    >>> visible("v2" + chr(0x202E) + "3v")
    'v2\\\\u202e3v'
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def day(at_us: int | None) -> str:
    """Return a day.

    >>> day(1367582400000000)
    '3 May 2013'
    """
    if at_us is None:
        return "–"
    moment = from_us(at_us)
    return f"{moment.day} {moment:%b %Y}"


def moment(at_us: int | None) -> str:
    """Return a day and a time in UTC, as the command line says it.

    >>> moment(1367582400000000)
    '3 May 2013 12:00Z'
    """
    return f"{day(at_us)} {from_us(at_us):%H:%M}Z" if at_us is not None else "–"


def iso(at_us: int) -> str:
    """Return a moment as a command takes it.

    >>> iso(1367582400000000)
    '2013-05-03T12:00Z'
    """
    return f"{from_us(at_us):%Y-%m-%dT%H:%M}Z"


def milliseconds(us: int | None) -> str:
    """Return a span in milliseconds.

    >>> milliseconds(1234), milliseconds(None)
    ('1.23 ms', '–')
    """
    return f"{us / 1_000:.3g} ms" if us is not None else "–"


def exact(value: Any) -> str:
    """Return a number in all its digits.

    >>> exact(0.1 + 0.2), exact([0.5, 0.25])
    ('0.30000000000000004', '[0.5, 0.25]')
    """
    return repr(value) if isinstance(value, float) else str(value)


def machine_time(at_us: int) -> str:
    """Return a moment for the ``datetime`` attribute."""
    return from_us(at_us).isoformat()


def ago(at_us: int, now_us: int) -> str:
    """Return how long before ``now_us`` that was, in its largest unit.

    >>> ago(0, 3 * 86_400_000_000)
    '3 days'
    """
    span = timedelta(microseconds=max(now_us - at_us, 0))
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = int(span / length)
        if count:
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "moments"


def number(value: Any) -> str:
    """Return a number with thin spaces between thousands, or few digits after the point.

    >>> number(1234567), number(0.123456), number(21480.3), number(None)
    ('1\\u202f234\\u202f567', '0.1235', '21\\u202f480', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f").replace("-", "\u2212")
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number"
        return f"{value:.4g}".replace("-", "\u2212") if abs(value) < 10_000 else number(round(value))
    return str(value)


def how_many(value: int, noun: str) -> str:
    """Return how many there are of something.

    >>> how_many(1, "prediction"), how_many(12345, "outcome")
    ('1 prediction', '12\\u202f345 outcomes')
    """
    return f"{number(value)} {noun}{'s' if value != 1 else ''}"


def signed(value: float) -> str:
    """Return a difference with its sign and four digits after the point.

    >>> signed(-0.0012), signed(-0.00001), signed(1234.5)
    ('\u22120.0012', '0.0000', '+1\u202f234')
    """
    if abs(value) >= 1_000:
        return ("\u2212" if value < 0 else "+") + number(round(abs(value)))
    shown = f"{value:+.4f}" if abs(value) < 10 else f"{value:+.4g}"
    return shown.lstrip("+-") if float(shown) == 0 else shown.replace("-", "\u2212")


def signed_short(value: float) -> str:
    """Return a difference with its sign in as few digits as say it.

    >>> signed_short(-0.05), signed_short(0.0123456), signed_short(12345.6)
    ('−0.05', '+0.0123', '+12 346')
    """
    digits = number(abs(value)) if abs(value) >= 1_000 else f"{abs(value):.3g}"
    return ("−" if value < 0 else "+") + digits


def evidence_number(value: float | None) -> str:
    """Return an e-value: what is beyond a million is said in powers of ten.

    >>> evidence_number(41.5), evidence_number(3.2e11), evidence_number(None)
    ('41.5', '3\u00b710\u00b9\u00b9', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value < 1e6:
        return f"{value:.3g}" if value < 1_000 else number(round(value))
    digits, power = f"{value:.0e}".split("e+")
    return f"{digits}\u00b710{str(int(power)).translate(_RAISED)}"


def sentence_case(text: str) -> str:
    """Return a sentence with a great letter in front, but for names of versions.

    >>> sentence_case("it failed"), sentence_case("v2 has won")
    ('It failed', 'v2 has won')
    """
    named = text[:1] == "v" and text[1:2].isdigit()
    return text if named else text[:1].upper() + text[1:]


def share(value: float) -> str:
    """Return a share in percent.

    >>> share(0.05), share(0.125)
    ('5 %', '12.5 %')
    """
    return f"{100 * value:.3g} %"


def plain_words(name: str) -> str:
    """Return an identifier as words."""
    return name.replace("_", " ").replace(".", " · ")


def spoken(reason: str) -> str:
    """Return a stored reason with its leading code in words.

    >>> spoken("not_worse: it is proven not worse by its margin")
    'not worse: it is proven not worse by its margin'
    """
    code, colon, rest = reason.partition(":")
    return code.replace("_", " ") + colon + rest if colon and " " not in code else reason


def item(value: Any) -> str:
    """Return one thing of a list; what has parts itself with their names.

    >>> item({"type": "reward", "margin": 0.5, "limit": None})
    'reward (margin 0.5)'
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(item, value[:_MOST])) + (" …" if len(value) > _MOST else "") or "none"
    if not isinstance(value, dict):
        return number(value) if value != "" else "–"
    parts = ", ".join(f"{plain_words(name)} {item(part)}" for name, part in value.items() if part and name != "type")
    return f"{plain_words(str(value['type']))} ({parts})" if "type" in value else parts
