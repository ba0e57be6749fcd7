"""What is told of a request to logs and traces, made only where somebody listens."""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class Trace(msgspec.Struct, frozen=True):
    """Where a request stands in its caller's trace, by W3C Trace Context."""

    trace_id: str
    parent_id: str
    sampled: bool


def read_trace(headers: Any) -> Trace | None:
    """Return what ``traceparent`` says; None where there is none, or one that breaks the standard's form.

    >>> read_trace({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}).parent_id
    'b7ad6b7169203331'
    """
    given = headers.get("traceparent")
    found = _PARENT.fullmatch(given) if given else None
    if found is None or (given.startswith("00-") and len(given) != 55):
        return None
    return Trace(found[1], found[2], bool(int(found[3], 16) & 1))


class Told(msgspec.Struct, frozen=True):
    """One request that was answered."""

    id: str
    project: str
    model: str
    versions: tuple[int, ...]
    role: str
    generation: int
    rows: int
    status: int
    took_us: int
    caller: str
    trace: Trace | None


class Refusal(msgspec.Struct, frozen=True):
    """One request that was not: what is said of it names a field, never what stood in it."""

    route: str
    status: int
    code: str
    field: str | None
    notes: tuple[str, ...]
    trace: Trace | None


class Witness(Protocol):
    """Hears of requests. Satisfied by the journal and by traces; must return at once."""

    def answered(self, told: Told) -> None:
        """Hear of an answer."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """Hear of a refusal or failure."""
        ...

    def close(self, timeout_s: float) -> None:
        """Write what is left, within a time."""
        ...
