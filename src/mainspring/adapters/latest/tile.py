"""A tile: how the features of one key change over time, as bytes that are searched where they lie.

Format 2: byte format, 3 zeros, u32 n, u32 m, u32 crc of format and layout, i64 newest moment, the newest record, zeros
up to a multiple of 8 bytes; n × i64 moments, n records of one fixed size, (m + 1) × u32 ends of texts, m texts, zeros
up to a multiple of 8 bytes. A moment's features are those of the last record at or before it. Most ask for the newest,
which is why it stands in front as well: one read gives all of it.
"""

from __future__ import annotations

import math
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.features.ports import FeatureRow, FeatureValue
from mainspring.features.rows import KNOWN
from mainspring.features.spec import ViewSpec
from mainspring.features.windows import AT, GROUP, LAST_TIME, horizon_us

FORMAT = 2
_HEADER = "<IIIIq"
_ENDS = struct.Struct("<II")
_NO_INT = np.iinfo(np.int64).min
_NO_TEXT = -1
_NO_BOOL = -1
Records = NDArray[np.void]
Span = tuple[FeatureRow, int, int]
_FOR_EVER = np.iinfo(np.int64).max


class Layout:
    """How the records of one view's tiles are written and read."""

    def __init__(self, view: ViewSpec, codes: str) -> None:
        self.codes = codes
        self._crc = zlib.crc32(bytes([FORMAT]) + codes.encode())
        fields = "qq" + "".join({"t": "i", "f": "d"}.get(code, code) for code in codes)
        record, head = struct.Struct("<" + fields), struct.Struct(_HEADER + fields)
        self._unpack, self._size = record.unpack_from, record.size
        self._unpack_head, self._pack_head = head.unpack_from, head.pack
        self._padding = bytes(-head.size % 8)
        self._start = head.size + len(self._padding)
        reach_us = horizon_us(view)
        self._reach_us = _FOR_EVER if reach_us is None else reach_us
        self._ttl_us = _FOR_EVER if view.ttl_us is None else view.ttl_us
        self._last = [place for place, feature in enumerate(view.features) if feature.kind == "last"]
        counts = [feature.kind == "count" for feature in view.features]
        self._special = [place for place, code in enumerate(codes) if code in "qbt" and not counts[place]]
        self._floats = [place for place, code in enumerate(codes) if code == "f"]
        self.nothing = FeatureRow(tuple(0 if count else None for count in counts), None)

    def at(self, tile: memoryview, at_us: int) -> FeatureRow | None:
        """Return the features in force at a moment; None for a tile of another layout."""
        span = self.span(tile, at_us)
        return None if span is None else span[0]

    def span(self, tile: memoryview, at_us: int) -> Span | None:
        """Return the features in force at a moment, and the first and the last moment at which this tile gives them."""
        _, many, texts, crc, since_us, known_us, last_us, *values = self._unpack_head(tile)
        if crc != self._crc:
            return None
        until_us = _FOR_EVER
        if at_us < since_us:
            words, moments = self._start // 8, tile.cast("q")
            place = bisect_right(moments, at_us, words, words + many) - words - 1
            if place < 0:
                return self.nothing, -_FOR_EVER, moments[words] - 1
            since_us, until_us = moments[words + place], moments[words + place + 1] - 1
            known_us, last_us, *values = self._unpack(tile, self._start + 8 * many + place * self._size)
        if math.isnan(sum(values)):  # a NaN among them stands for a missing value
            for column in self._floats:
                if values[column] != values[column]:
                    values[column] = None
        if self._special:
            end = self._start + many * (8 + self._size)
            for column in self._special:
                values[column] = _restored(self.codes[column], values[column], tile, end, texts)
        expires_us, forgets_us = last_us + self._ttl_us, known_us + self._reach_us
        if at_us > expires_us:
            since_us = max(since_us, expires_us + 1)
            for place in self._last:
                values[place] = None
        elif expires_us < until_us:
            until_us = expires_us
        if at_us > forgets_us:
            return FeatureRow(tuple(values), None), max(since_us, forgets_us + 1), until_us
        return FeatureRow(tuple(values), known_us), since_us, min(until_us, forgets_us)

    def pack(self, view: ViewSpec, steps: pl.DataFrame, cut_us: int) -> Iterator[tuple[int, bytes]]:
        """Give each group of ``steps`` as a tile, without what ended before the cut."""
        texts: list[str] = []
        records = self._records(view, steps, texts)
        moments = steps.get_column(AT).to_numpy().astype("<i8")
        group = steps.get_column(GROUP).to_numpy()
        bounds = [0, *(np.flatnonzero(group[1:] != group[:-1]) + 1).tolist(), len(group)]
        for first, end in pairwise(bounds):
            start = first + max(0, int(np.searchsorted(moments[first:end], cut_us, side="right")) - 1)
            piece, own = self._with_own_texts(records[start:end], texts)
            newest = piece[-1].item()
            head = self._pack_head(FORMAT, end - start, len(own), self._crc, int(moments[end - 1]), *newest)
            tile = (
                bytes([FORMAT])
                + head[1:]
                + self._padding
                + moments[start:end].tobytes()
                + piece.tobytes()
                + _texts(own)
            )
            yield int(group[first]), tile + bytes(-len(tile) % 8)

    def _records(self, view: ViewSpec, steps: pl.DataFrame, texts: list[str]) -> Records:
        fields = {"q": "<i8", "f": "<f8", "b": "i1", "t": "<i4"}
        form = [("known", "<i8"), ("last", "<i8")]
        form += [(f"f{place}", fields[code]) for place, code in enumerate(self.codes)]
        records: Records = np.zeros(steps.height, np.dtype(form))
        records["known"] = steps.get_column(KNOWN).to_numpy()
        if LAST_TIME in steps.columns:
            records["last"] = steps.get_column(LAST_TIME).to_numpy()
        for place, (feature, code) in enumerate(zip(view.features, self.codes, strict=True)):
            records[f"f{place}"] = _packed(steps.get_column(feature.name), code, texts)
        return records

    def _with_own_texts(self, records: Records, texts: list[str]) -> tuple[Records, list[str]]:
        own: list[str] = []
        if not texts:
            return records, own
        piece = records.copy()
        for place, code in enumerate(self.codes):
            if code == "t":
                used, local = np.unique(piece[f"f{place}"], return_inverse=True)
                missing = int(np.searchsorted(used, 0))  # 1 if the first used code is the missing one
                piece[f"f{place}"] = np.where(local < missing, _NO_TEXT, local - missing + len(own))
                own.extend(texts[code] for code in used[missing:].tolist())
        return piece, own


def codes_of(view: ViewSpec, schema: pl.Schema) -> str:
    """Return one letter a feature for how its values are written: f float, q integer, b truth, t text."""
    return "".join(_code(schema[feature.name]) for feature in view.features)


def _code(dtype: pl.DataType) -> str:
    if dtype.is_float():
        return "f"
    if dtype == pl.Boolean:
        return "b"
    return "t" if dtype == pl.String else "q"


def _packed(values: pl.Series, code: str, texts: list[str]) -> Any:
    if code == "f":
        return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if code == "b":
        return values.cast(pl.Int8).fill_null(_NO_BOOL).to_numpy()
    if code == "q":
        return values.cast(pl.Int64).fill_null(_NO_INT).to_numpy()
    known = {text: len(texts) + place for place, text in enumerate(values.drop_nulls().unique(maintain_order=True))}
    texts.extend(known)
    return [known.get(text, _NO_TEXT) for text in values]


def _texts(texts: list[str]) -> bytes:
    """Return an index of ends and the texts, so that one is read without the others."""
    pieces = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    return ends + b"".join(pieces)


def _restored(code: str, value: int, tile: memoryview, texts: int, many: int) -> FeatureValue:
    if code == "q":
        return None if value == _NO_INT else value
    if value < 0:
        return None
    if code == "b":
        return bool(value)
    first, end = _ENDS.unpack_from(tile, texts + 4 * value)
    start = texts + 4 * (many + 1)
    return str(tile[start + first : start + end], "utf-8")
