"""The format of a spool segment: groups of records, each whole or not there.

A group is ``length u32, crc32 u32`` (little-endian, over what follows), ``format version u8, n u16``, then n records,
each ``length u32`` and the msgpack of a ``Record``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from mainspring.kernel.errors import Damaged
from mainspring.log.records import Record

FORMAT = 1
MOST_RECORDS = 4_096
MOST_BYTES = 8 * 1_024 * 1_024  # of the records of a group that holds more than one
LONGEST_BYTES = 64 * 1_024 * 1_024  # no group is longer; a greater length is damage

_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<BH")
LONGEST_SET_BYTES = LONGEST_BYTES - _BODY.size
_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class Group(msgspec.Struct, frozen=True):
    """One whole group and where the next one begins."""

    records: tuple[Record, ...]
    end: int


class Scan(msgspec.Struct, frozen=True):
    """What a stretch of a segment holds.

    ``end`` is where reading goes on. ``rest`` says what lies there: nothing, an unfinished group, or a damaged one
    (then ``resume`` is where the next whole group begins). An unfinished one may be ``as_long_as_said``: all its bytes
    are there, and are not what was written.
    """

    records: tuple[Record, ...]
    groups: int
    end: int
    rest: Literal["nothing", "unfinished", "damage"]
    resume: int = 0
    as_long_as_said: bool = False


def encode_set(records: Sequence[Record]) -> bytes:
    """Return records as they lie in a group, one after the other: what goes into one group together or not at all."""
    pieces: list[bytes] = []
    for record in records:
        data = _encoder.encode(record)
        pieces += (_LENGTH.pack(len(data)), data)
    return b"".join(pieces)


def encode_group(sets: Sequence[bytes], count: int) -> bytes:
    """Return the group of ``count`` records in these encoded sets as it lies on disk."""
    body = b"".join((_BODY.pack(FORMAT, count), *sets))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read_groups(data: bytes, start: int = 0, *, most_records: int | None = None) -> Scan:
    """Read whole groups from ``start`` on, until the data ends, breaks, or ``most_records`` are read."""
    records: list[Record] = []
    groups = 0
    while start < len(data):
        if most_records is not None and len(records) >= most_records:
            break
        group = _group_at(data, start)
        if group is None:
            resume = _next_whole(data, start + 1)
            rest: Literal["unfinished", "damage"] = "unfinished" if resume is None else "damage"
            return Scan(tuple(records), groups, start, rest, resume or 0, _extent(data, start) is not None)
        records.extend(group.records)
        groups += 1
        start = group.end
    return Scan(tuple(records), groups, start, "nothing")


def _group_at(data: bytes, start: int) -> Group | None:
    body = _body_at(data, start)
    if body is None:
        return None
    version, count = _BODY.unpack_from(body)
    if version > FORMAT:
        raise Damaged(
            "was written by a newer version", field="spool", value=version, remedy="install that version of Mainspring"
        )
    records = []
    place = _BODY.size
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(body, place)
        place += _LENGTH.size
        records.append(_decoder.decode(body[place : place + length]))
        place += length
    return Group(tuple(records), start + _HEAD.size + len(body))


def _body_at(data: bytes, start: int) -> memoryview | None:
    extent = _extent(data, start)
    if extent is None:
        return None
    body = memoryview(data)[extent[0] : extent[1]]
    return body if zlib.crc32(body) == _HEAD.unpack_from(data, start)[1] else None


def _extent(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the body of a group begins and ends as its head says; None where there are not as many bytes."""
    begin = start + _HEAD.size
    if begin + _BODY.size > len(data):
        return None
    length = _HEAD.unpack_from(data, start)[0]
    if not _BODY.size <= length <= LONGEST_BYTES or begin + length > len(data):
        return None
    return begin, begin + length


def _next_whole(data: bytes, start: int) -> int | None:
    """Return where the next whole group begins: what tells damage in the middle from a torn end."""
    place = start + _HEAD.size
    while (place := data.find(bytes((FORMAT,)), place)) >= 0:
        candidate = place - _HEAD.size
        if _body_at(data, candidate) is not None:
            return candidate
        place += 1
    return None
