"""What a user wrote where a name, a text, a span or a list belongs: taken, or noted as a fault."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.project.collection import Faulty, fault

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MICROSECOND = timedelta(microseconds=1)


def predict_at_of(field: str, given: Any) -> tuple[str, int]:
    """Read ``column``, ``column - 2h`` or ``column + 30m``.

    >>> predict_at_of("predict_at", "sched_dep - 2h")
    ('sched_dep', -7200000000)
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:([+-])\s*(\S.*?))?\s*", given) if isinstance(given, str) else None
    if match is None:
        remedy = "write a time column and a span, such as 'sched_dep - 2h'"
        fault("is not a moment", field=field, value=given, remedy=remedy)
        return "", 0
    offset_us = span_us(field, match[3]) or 0
    return match[1], -offset_us if match[2] == "-" else offset_us


def checked_name(place: str, name: Any) -> str:
    """Return a name of a declared thing; note a fault if it cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fault(
            "is not a name",
            field=f"{place}.name",
            value=name,
            remedy="use lower-case letters, digits and _, beginning with a letter, at most 63",
        )
    return str(name)


def text(field: str, value: Any) -> str:
    """Return a non-empty text; note a fault otherwise."""
    if not isinstance(value, str) or not value:
        fault("must be a text", field=field, value=value, remedy="write it in quotes")
        return ""
    return value


def optional_text(field: str, value: Any) -> str | None:
    """Return a text or nothing."""
    return None if value is None else text(field, value)


def names(field: str, value: Any) -> tuple[str, ...]:
    """Return one name or a list of distinct names as a tuple."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        fault("must be a name or a list of names", field=field, value=value)
        return ()
    for item in {item for item in value if value.count(item) > 1}:
        fault("is listed twice", field=field, value=item)
    return tuple(dict.fromkeys(value))


def span_us(field: str, value: Any) -> int | None:
    """Return a span such as ``36h`` in microseconds."""
    if value is None:
        return None
    try:
        return parse_duration(value, field=field) // _MICROSECOND
    except InvalidInput as error:
        fault(error.what, field=field, value=value, remedy=error.remedy)
        return None


def share_of(field: str, value: Any) -> float:
    """Return a share of at least nothing and less than half."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 0.5:
        fault("must be a share from 0 to below 0.5", field=field, value=value)
        return 0.0
    return float(value)


def one_of(field: str, value: Any, known: Sequence[str]) -> Any:
    """Return one of the known words."""
    if value not in known:
        fault("is not one of the known words", field=field, value=value, remedy=nearest(str(value), known))
        return known[0]
    return value


def typed(field: str, value: Any, kind: type | tuple[type, ...], words: str) -> Any:
    """Return a value of a type, None where it is of another."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if not isinstance(value, Faulty):
        fault(f"must be {words}", field=field, value=value)
    return None


def reference(field: str, value: Any, kind: type) -> str:
    """Return the name of something declared, given as itself or by name."""
    if isinstance(value, kind):
        return str(value.name)  # type: ignore[attr-defined]
    if isinstance(value, str):
        return value
    if isinstance(value, Faulty):
        return ""
    fault(f"must be an ms.{kind.__name__} or its name", field=field, value=value)
    return ""


def references(field: str, value: Any, kind: type) -> tuple[str, ...]:
    """Return the names of several declared things."""
    if not isinstance(value, (list, tuple)):
        fault(f"must be a list of ms.{kind.__name__}", field=field, value=value, remedy="write it in square brackets")
        return ()
    found = dict.fromkeys(reference(field, item, kind) for item in value)
    return tuple(name for name in found if name)
