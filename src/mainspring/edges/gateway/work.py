"""What is under way: a request, the rows of it that one version meets, what that made of them, and the answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from mainspring.edges.gateway.protocols.codec import Given
from mainspring.edges.gateway.snapshot import Arm, Model
from mainspring.log.ports import Spool
from mainspring.log.records import Role
from mainspring.serving.looked import Looked, LookedRows
from mainspring.serving.ports import Row

_LOGGED_NUMBER_BYTES = 9
_HELD_NUMBER_BYTES = 32  # an object, and where it stands


class Asked(msgspec.Struct, gc=False):
    """One request on its way: what it carries, and what is known for it."""

    id: str
    spool: Spool  # of the boot that the id begins with: all of a request is in one
    model: Model
    generation: int
    decision_us: int
    began_ns: int
    deadline_ms: int
    rows: Sequence[Row]
    pinned: Arm | None = None
    looked: Sequence[Sequence[Looked]] = ()
    sets: list[int] = []  # of records in the spool: what must be on disk before it is answered under ``durable``

    def remaining_s(self) -> float:
        """Return what is left of the deadline."""
        return self.deadline_ms / 1e3 - (time.perf_counter_ns() - self.began_ns) / 1e9


class Part(msgspec.Struct, gc=False):
    """Some rows of a request as one version meets them, in a role and for a release."""

    asked: Asked
    arm: Arm
    role: Role
    places: Sequence[int]
    release: str


class Ran(msgspec.Struct, gc=False):
    """What one version made of some rows: a value each, or a fault by place."""

    values: Sequence[float | None]
    faults: Mapping[int, str]
    latency_us: int


class Answers:
    """Each row's answer and the version that gave it; and the rows that every version met."""

    __slots__ = ("given", "met")

    def __init__(self, count: int) -> None:
        self.given: list[tuple[Arm, float] | None] = [None] * count
        self.met: dict[str, list[int]] = {}

    def said(self) -> Given:
        """Return who answered each row, and what."""
        return [one for one in self.given if one is not None]


class Size(msgspec.Struct, frozen=True):
    """How many bytes something takes: about so many in the log, and held in memory until it is there."""

    logged: int
    held: int


def size_asked(asked: Asked, body_bytes: int) -> Size:
    """Return about how much a request and its draw take; its rows are held as they came and as values, twice."""
    rows, columns = len(asked.rows), len(asked.model.route.columns)
    return Size(600 + body_bytes + 100 * rows, 1_200 + 2 * body_bytes + rows * (130 + 50 * columns))


def size_scored(part: Part) -> Size:
    """Return about how much a version's answers for some rows take: a number or several a row, and what it saw."""
    rows, classes, looked = len(part.places), len(part.arm.parts), part.asked.looked
    if isinstance(looked, LookedRows):
        held = sum(8 * len(view.which) + sum(map(_row_bytes, view.distinct)) for view in looked.views)
    else:
        held = sum(_row_bytes(one) for row in looked for one in row)
    return Size(
        600 + rows * (100 + _LOGGED_NUMBER_BYTES * classes) + held // 2,
        900 + rows * (100 + _HELD_NUMBER_BYTES * classes) + held,
    )


def _row_bytes(row: Looked) -> int:
    return 110 + 48 * len(row.values)


def since_us(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1_000
