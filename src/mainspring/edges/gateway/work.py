"""What is under way: a request, the rows of it that one version meets, what that made of them, and the answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from mainspring.edges.gateway.protocols.codec import Given
from mainspring.edges.gateway.snapshot import Arm, Model
from mainspring.log.ports import Spool
from mainspring.log.records import Role
from mainspring.serving.looked import Looked
from mainspring.serving.ports import Row


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


def about_bytes(rows: int) -> int:
    """Return about how much the log holds of one version and some rows of a request, beside the body.

    Rows of a list share what they have in common.

    >>> about_bytes(1), about_bytes(100)
    (700, 10600)
    """
    return 600 + 100 * rows


def since_us(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1_000
