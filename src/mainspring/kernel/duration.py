"""Spans of time as people write them: ``30m``, ``6h``, ``14d``, ``2w``."""

from __future__ import annotations

import re
from datetime import timedelta

from mainspring.kernel.errors import InvalidInput

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_MOST_S = 36_500 * _UNITS["d"]  # a moment that lies so far off can still be told
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)


def parse_duration(text: str, *, field: str = "duration") -> timedelta:
    """Read a span of time.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise InvalidInput(
            "is not a duration", field=field, value=text, remedy="write a number and ms, s, m, h, d or w, such as 36h"
        )
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _MOST_S:
        raise InvalidInput("is too long", field=field, value=text, remedy="write at most 36500d, a hundred years")
    return timedelta(seconds=seconds)


def show_duration(span: timedelta) -> str:
    """Return a span in its largest whole unit.

    >>> show_duration(timedelta(hours=36)), show_duration(timedelta(days=14))
    ('36h', '14d')
    """
    seconds = span.total_seconds()
    for unit in ("d", "h", "m", "s"):
        count = seconds / _UNITS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds:g}s"
