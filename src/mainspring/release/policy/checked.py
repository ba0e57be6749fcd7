"""What every policy checks of its values."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Literal

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest

METRICS: tuple[str, ...] = ("log_loss", "brier", "error", "absolute_error", "squared_error")
OnDeadline = Literal["return", "hold"]


def check_metric(metric: Any) -> None:
    """Refuse a metric that no test knows."""
    if metric not in METRICS:
        raise InvalidInput(
            "is not a metric that a release can test", field="metric", value=metric,
            remedy=nearest(str(metric), METRICS),
        )  # fmt: skip


def check_spans(policy: Any, *fields: str, positive: bool = False) -> None:
    """Refuse durations that are none, that are negative, or empty where they must not be."""
    for field in fields:
        span = parse_duration(getattr(policy, field), field=field)
        if span < timedelta(0):
            raise InvalidInput("must not be negative", field=field, value=getattr(policy, field))
        if positive and not span:
            raise InvalidInput("must be longer than nothing", field=field, value=getattr(policy, field))


def check_between(field: str, value: Any, low: float, high: float, *, closed: bool = False) -> None:
    """Refuse what is not a finite number between ``low`` and ``high``."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (low < value < high or (closed and value in (low, high))):
        below = f" and below {high:g}" if math.isfinite(high) else ""
        above = f"{low:g} or more" if closed else f"above {low:g}"
        raise InvalidInput(f"must be a number {above}{below}", field=field, value=value)


def check_count(field: str, value: Any) -> None:
    """Refuse what is not at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput("must be a whole number, at least 1", field=field, value=value)


def check_word(field: str, value: Any, known: tuple[str, ...]) -> None:
    """Refuse a word that is not one of those known."""
    if value not in known:
        shown = " or ".join(map(repr, known))
        raise InvalidInput(f"must be {shown}", field=field, value=value)


def check_bounds(low: Any, high: Any) -> None:
    """Refuse bounds of a reward that leave nothing between them."""
    check_between("low", low, -math.inf, math.inf)
    check_between("high", high, low, math.inf)


def checked_steps(steps: Any) -> tuple[float, ...]:
    """Return shares that grow from step to step."""
    if isinstance(steps, str | bytes) or not hasattr(steps, "__iter__"):
        raise InvalidInput("must be a list of shares", field="steps", value=steps, remedy="such as [0.05, 0.25, 0.5]")
    shares = tuple(steps)
    if not shares:
        raise InvalidInput("needs at least one share", field="steps", value=[], remedy="use Shadow for none")
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
            raise InvalidInput("must be shares above 0 and below 1", field="steps", value=share)
    if list(shares) != sorted(set(shares)):
        raise InvalidInput("must grow from step to step", field="steps", value=list(shares))
    return tuple(float(share) for share in shares)
