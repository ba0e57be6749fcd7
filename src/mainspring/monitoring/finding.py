"""What a monitor has to say at one moment."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

State = Literal["ok", "alarm", "insufficient"]


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One monitor's view of one subject. ``insufficient`` means that it cannot tell yet, and ``reason`` says why.

    ``rows`` are all rows of the windows judged so far, ``matured`` those that could be judged: "n matured of n".
    """

    monitor: str
    subject: str
    state: State
    reason: str
    at_us: int
    numbers: dict[str, Any] = {}
    matured: int = 0
    rows: int = 0


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One window on a chart: its end, the value, the evidence against "all is well", and the rows behind it."""

    at_us: int
    value: float | None
    evidence: float
    matured: int
    rows: int


KEPT_POINTS = 400


def kept(points: tuple[Point, ...], point: Point) -> tuple[Point, ...]:
    """Return the points with one more, without those too old for any chart."""
    return (*points[-(KEPT_POINTS - 1) :], point)
