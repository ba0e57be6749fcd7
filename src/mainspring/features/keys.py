"""The one encoding of a key of one or several columns, shared by the tiles, the gateway and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mainspring.kernel.clock import to_us

KeyValue = str | int | float | bool | datetime | None

_encode = msgspec.json.Encoder().encode


def encode_key(values: Sequence[KeyValue]) -> str:
    """Return the values of a key as one string; equal values give equal strings, however they were written.

    Whole floats are written as integers and times as microseconds, because JSON does not tell them apart.

    >>> encode_key(["JFK", "AA"]), encode_key([7]), encode_key([7.0])
    ('["JFK","AA"]', '[7]', '[7]')
    """
    return _encode([_plain(value) if type(value) is not str else value for value in values]).decode()


def _plain(value: KeyValue) -> KeyValue:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, datetime):
        return to_us(value)
    return value
