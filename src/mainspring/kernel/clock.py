"""Domain time. Monotonic time (deadlines, leases, back-off) is the machine's and comes from ``time.monotonic``."""

from __future__ import annotations

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time_ns
from typing import Protocol

from mainspring.kernel.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells domain time. Satisfied by the system's clock and by a simulated one."""

    def now_us(self) -> int:
        """Return microseconds since 1970 in UTC."""
        ...

    def now(self) -> datetime:
        """Return the same moment as an aware datetime."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        return time_ns() // 1_000

    def now(self) -> datetime:
        return from_us(self.now_us())


class SimulatedClock:
    """Eight bytes in a file that every process of a home maps and only the driver of a simulation advances."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        flags = os.O_RDWR if writable else os.O_RDONLY
        handle = os.open(path, flags)
        try:
            self._map = mmap.mmap(handle, 8, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        finally:
            os.close(handle)

    @classmethod
    def create(cls, path: Path, start: datetime) -> SimulatedClock:
        """Write a new clock that stands at ``start`` and return it open for advancing."""
        path.write_bytes(struct.pack("<q", to_us(start)))
        return cls(path, writable=True)

    def now_us(self) -> int:
        return int(struct.unpack_from("<q", self._map)[0])

    def now(self) -> datetime:
        return from_us(self.now_us())

    def advance(self, to: datetime) -> None:
        """Move the clock forward to ``to``; it never goes back."""
        moment = to_us(to)
        if moment < self.now_us():
            raise InvalidInput("a simulated clock never goes back", field="to", value=to.isoformat())
        struct.pack_into("<q", self._map, 0, moment)


def to_us(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if moment.tzinfo is None:
        raise InvalidInput(
            "a time needs a zone", field="time", value=moment.isoformat(), remedy="append +00:00 for UTC"
        )
    return (moment - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return microseconds since 1970 as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def parse_time(text: str, *, field: str = "time") -> datetime:
    """Read an ISO 8601 time with a zone (``Z`` or an offset) and return it in UTC.

    >>> parse_time("2013-05-03T12:00Z").isoformat()
    '2013-05-03T12:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "is not an ISO 8601 time", field=field, value=text, remedy="write it like 2013-05-03T12:00Z"
        ) from None
    if moment.tzinfo is None:
        raise InvalidInput("a time needs a zone", field=field, value=text, remedy="append Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(
            "lies outside the years 1 to 9999", field=field, value=text, remedy="write it like 2013-05-03T12:00Z"
        ) from None


def show_time(moment: datetime) -> str:
    """Return a time as people read it in reports: ``2013-05-03T12:00:00Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
