"""How a tile is read: the features of one key at a moment, from bytes that are searched where they lie.

Format 2: byte format, 3 zeros, u32 n, u32 m, u32 crc of format and layout, i64 newest moment, the newest record, zeros
up to a multiple of 8 bytes; n × i64 moments, n records of one fixed size, (m + 1) × u32 ends of texts, m texts, zeros
up to a multiple of 8 bytes. A moment's features are those of the last record at or before it. Most ask for the newest,
which is why it stands in front as well: one read gives all of it.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from math import isnan
from typing import Any

from mainspring.features.ports import FeatureRow, FeatureValue
from mainspring.features.spec import ViewSpec

FORMAT = 2
NO_INT = -(1 << 63)
NO_TEXT = -1
NO_BOOL = -1
_HEADER = "<IIIIq"
_ENDS = struct.Struct("<II")
_FOR_EVER = (1 << 63) - 1
Span = tuple[FeatureRow, int, int]


class Layout:
    """How the records of one view's tiles are written and read."""

    def __init__(self, view: ViewSpec, codes: str) -> None:
        self.codes = codes
        self.crc = zlib.crc32(bytes([FORMAT]) + codes.encode())
        fields = "qq" + "".join({"t": "i", "f": "d"}.get(code, code) for code in codes)
        record, head = struct.Struct("<" + fields), struct.Struct(_HEADER + fields)
        self._unpack, self._size = record.unpack_from, record.size
        self._unpack_head, self.pack_head = head.unpack_from, head.pack
        self.padding = bytes(-head.size % 8)
        self._start = head.size + len(self.padding)
        reach_us = view.horizon_us()
        self._reach_us = _FOR_EVER if reach_us is None else reach_us
        self._ttl_us = _FOR_EVER if view.ttl_us is None else view.ttl_us
        self._expire = view.ttl_us is not None
        self._last = [place for place, feature in enumerate(view.features) if feature.kind == "last"]
        counts = [feature.kind == "count" for feature in view.features]
        self._special = [place for place, code in enumerate(codes) if code in "qbt" and not counts[place]]
        self.nothing = FeatureRow(tuple(0 if count else None for count in counts), None)

    def at(self, tile: memoryview, at_us: int) -> FeatureRow | None:
        """Return the features in force at a moment; None for a tile of another layout."""
        span = self.span(tile, at_us)
        return None if span is None else span[0]

    def span(self, tile: memoryview, at_us: int) -> Span | None:
        """Return the features in force at a moment, and the first and the last moment at which this tile gives them."""
        head = self._unpack_head(tile)
        if head[3] != self.crc:
            return None
        values: Sequence[Any] = head[7:]
        since_us, known_us, last_us, until_us = head[4], head[5], head[6], _FOR_EVER
        if at_us < since_us:
            many, words, moments = head[1], self._start // 8, tile.cast("q")
            place = bisect_right(moments, at_us, words, words + many) - words - 1
            if place < 0:
                return self.nothing, -_FOR_EVER, moments[words] - 1
            since_us, until_us = moments[words + place], moments[words + place + 1] - 1
            record = self._unpack(tile, self._start + 8 * many + place * self._size)
            known_us, last_us, values = record[0], record[1], record[2:]
        if isnan(sum(values)):  # a NaN among them stands for a missing value
            values = [None if value != value else value for value in values]  # noqa: PLR0124
        if self._special:
            values = self._with_texts(list(values), tile, head)
        if self._expire:
            expires_us = last_us + self._ttl_us
            if at_us > expires_us:
                since_us = max(since_us, expires_us + 1)
                values = [None if place in self._last else value for place, value in enumerate(values)]
            elif expires_us < until_us:
                until_us = expires_us
        forgets_us = known_us + self._reach_us
        if at_us > forgets_us:
            return FeatureRow(tuple(values), None), since_us if since_us > forgets_us else forgets_us + 1, until_us
        return FeatureRow(tuple(values), known_us), since_us, until_us if until_us < forgets_us else forgets_us

    def _with_texts(self, values: list[Any], tile: memoryview, head: Sequence[Any]) -> list[Any]:
        """Put texts, truths and whole numbers that may be missing where what stands for them is."""
        end = self._start + head[1] * (8 + self._size)
        for column in self._special:
            values[column] = _restored(self.codes[column], values[column], tile, end, head[2])
        return values


def _restored(code: str, value: int, tile: memoryview, texts: int, many: int) -> FeatureValue:
    if code == "q":
        return None if value == NO_INT else value
    if value < 0:
        return None
    if code == "b":
        return bool(value)
    first, end = _ENDS.unpack_from(tile, texts + 4 * value)
    start = texts + 4 * (many + 1)
    return str(tile[start + first : start + end], "utf-8")
