"""Arrow IPC streams as bodies: columns of flat values, read without trusting a byte of them.

What reads such streams elsewhere takes their word for lengths and offsets, and a wrong one ends the whole process. Here
every number is checked against the bytes that there are. Compressed bodies and nested columns are refused. The heads of
messages are read by ``arrow_head``, the values behind them here. The format:
https://arrow.apache.org/docs/format/Columnar.html.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from mainspring.log.arrow_head import LARGE_TEXT, TEXT_VIEW, Field, Kind, Table, WrongStream, read_fields, root

MARK = b"\xff\xff\xff\xff"
MOST_MESSAGES = 1_000
MOST_ROWS = 2**31 - 1
MOST_TEXT_BYTES = 32 * 1_024 * 1_024  # of all texts of a column, those that a dictionary or view repeats too
Array = np.typing.NDArray[Any]

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INLINE_BYTES = 12  # a view holds a text as short as this itself
_CODE_BYTES = 4


class Values(msgspec.Struct, frozen=True):
    """The values of a column: an array, or a list of texts; ``missing`` marks what is null, None if nothing is."""

    kind: Kind
    array: Array | None
    texts: list[str | None]
    missing: Array | None

    def listed(self) -> list[Any]:
        """Return plain values: NaN is None as null is, a time is ISO 8601 text."""
        if self.array is None:
            return self.texts
        values: list[Any] = self.array.tolist()
        if self.kind == "time":
            values = [(_EPOCH + timedelta(microseconds=us)).isoformat() for us in values]
        missing = self.missing
        if self.kind == "float" and np.isnan(self.array).any():
            missing = np.isnan(self.array) if missing is None else missing | np.isnan(self.array)
        if missing is not None:
            for place in np.flatnonzero(missing).tolist():
                values[place] = None
        return values


class Stream:
    """A stream whose schema has been read: ``names`` are its columns."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        try:
            kind, header, _, self._place = self._message(0)
            if kind != _SCHEMA:
                raise WrongStream("does not begin with a schema")
            self._fields = read_fields(header)
        except (struct.error, UnicodeDecodeError, ValueError, OverflowError) as error:
            raise WrongStream(f"is damaged: {error}") from None
        self.names = [field.name for field in self._fields]

    def read(self, most_rows: int) -> tuple[int, dict[str, Values]]:
        """Return how many rows there are and, if they are not more than ``most_rows``, the columns by name."""
        pieces: dict[str, list[Values]] = {name: [] for name in self.names}
        dictionaries: dict[int, list[str | None]] = {}
        rows = 0
        try:
            for _ in range(MOST_MESSAGES):
                if self._place >= len(self._body) or self._body[self._place : self._place + 8] == MARK + bytes(4):
                    return rows, {name: _joined(name, several) for name, several in pieces.items()}
                kind, header, body, self._place = self._message(self._place)
                if kind == _DICTIONARY:
                    self._take_dictionary(header, body, dictionaries)
                    continue
                if kind != _BATCH:
                    raise WrongStream("holds a message that is neither rows nor a dictionary")
                rows += header.number(0, "<q")
                if rows > most_rows:
                    return rows, {}
                batch = _Batch(header, body)
                for field in self._fields:
                    pieces[field.name].append(batch.column(field, dictionaries))
        except (struct.error, UnicodeDecodeError, ValueError, OverflowError) as error:
            raise WrongStream(f"is damaged: {error}") from None
        raise WrongStream(f"holds more than {MOST_MESSAGES} batches")

    def _message(self, place: int) -> tuple[int, Table, memoryview, int]:
        """Return kind, header and body of the message at a place, and where the next one begins."""
        mark, length = struct.unpack_from("<4sI", self._body, place)
        start = place + 8
        if mark != MARK or not 0 < length <= len(self._body) - start:
            raise WrongStream("is not an Arrow IPC stream, or breaks off")
        message = root(memoryview(self._body)[start : start + length])
        body_bytes = message.number(3, "<q")
        begin = start + length
        if not 0 <= body_bytes <= len(self._body) - begin:
            raise WrongStream("breaks off")
        header = message.table(2)
        return message.number(1, "<B"), header, memoryview(self._body)[begin : begin + body_bytes], begin + body_bytes

    def _take_dictionary(self, header: Table, body: memoryview, known: dict[int, list[str | None]]) -> None:
        id = header.number(0, "<q")
        field = next((field for field in self._fields if field.dictionary == id), None)
        if field is None:
            raise WrongStream("holds a dictionary that no column uses")
        batch = _Batch(header.table(1), body)
        texts = batch.texts(field, batch.validity(), batch.rows)
        known[id] = known.get(id, []) + texts if header.number(2, "<B") else texts


def listed(body: bytes) -> list[bytes]:
    """Return the rows of a stream as JSON objects."""
    _, columns = Stream(body).read(MOST_ROWS)
    names = tuple(columns)
    rows = zip(*(values.listed() for values in columns.values()), strict=True)
    return [msgspec.json.encode(dict(zip(names, row, strict=True))) for row in rows]


class _Batch:
    """One batch, whose buffers are handed out in the order of the columns."""

    def __init__(self, header: Table, body: memoryview) -> None:
        if header.has(3):
            raise WrongStream("is compressed: a small body could unfold into a huge one")
        self.rows = header.number(0, "<q")
        if self.rows < 0:
            raise WrongStream("is damaged: a negative length")
        self._body = body
        self._nodes = iter(header.longs(1, 2))
        self._buffers = iter(header.longs(2, 2))
        self._variadic = iter(header.longs(4))

    def column(self, field: Field, dictionaries: dict[int, list[str | None]]) -> Values:
        """Return the next column."""
        rows, nulls = next(self._nodes, (-1, 0))
        if rows != self.rows:
            raise WrongStream("has another length than its batch", field.name)
        if field.kind == "nothing":
            return Values("nothing", None, [None] * rows, None)
        valid = self.validity()
        missing = ~_bits(valid, rows) if nulls and len(valid) else None
        if field.dictionary is not None:
            indices = self._numbers(field.stored, rows)
            return Values("text", None, _looked_up(field, indices, missing, dictionaries), None)
        if field.kind == "text":
            return Values("text", None, self.texts(field, valid if nulls else valid[:0], rows), None)
        if field.kind == "bool":
            return Values("bool", _bits(self._buffer(), rows), [], missing)
        numbers = self._numbers(field.stored, rows)
        if field.kind == "time":
            per_second = _PER_SECOND[field.unit]
            if missing is not None:
                numbers = np.where(missing, 0, numbers)
            _check_moments(field.name, numbers // per_second)
            numbers = numbers * (1_000_000 // per_second) if per_second <= 1_000_000 else numbers // 1_000
        return Values(field.kind, numbers, [], missing)

    def validity(self) -> memoryview:
        return self._buffer()

    def texts(self, field: Field, valid: memoryview, rows: int) -> list[str | None]:
        """Return texts; ``valid`` is empty where none is missing."""
        if field.type == TEXT_VIEW:
            found = self._viewed(field.name, rows)
        else:
            offsets = self._numbers("<i8" if field.type == LARGE_TEXT else "<i4", rows + 1 if rows else 0)
            found = _cut(field.name, offsets, self._buffer())
        if not len(valid):
            return found
        return [text if ok else None for text, ok in zip(found, _bits(valid, rows).tolist(), strict=True)]

    def _viewed(self, name: str, rows: int) -> list[str | None]:
        views = self._buffer()
        (count,) = next(self._variadic, (0,))
        if len(views) < 16 * rows or not 0 <= count <= MOST_MESSAGES:
            raise WrongStream("breaks off", name)
        buffers = [self._buffer() for _ in range(count)]
        short = _short_texts(views[: 16 * rows])
        if short is not None:
            return short
        found: list[str | None] = []
        total = 0
        for at in range(0, 16 * rows, 16):
            length, _, which, start = struct.unpack_from("<iiii", views, at)
            if length <= _INLINE_BYTES:
                if length < 0:
                    raise WrongStream("has a text of negative length", name)
                found.append(str(views[at + 4 : at + 4 + length], "utf-8"))
                continue
            if not 0 <= which < count or not 0 <= start <= len(buffers[which]) - length:
                raise WrongStream("has a text that is not there", name)
            total = _counted(name, total + length)
            found.append(str(buffers[which][start : start + length], "utf-8"))
        return found

    def _numbers(self, stored: str, count: int) -> Array:
        return np.frombuffer(self._buffer(), dtype=stored, count=count)

    def _buffer(self) -> memoryview:
        start, length = next(self._buffers, (0, -1))
        if length < 0 or not 0 <= start <= len(self._body) - length:
            raise WrongStream("breaks off")
        return self._body[start : start + length]


def _bits(bitmap: memoryview, count: int) -> Array:
    if len(bitmap) * 8 < count:
        raise WrongStream("breaks off")
    return np.unpackbits(np.frombuffer(bitmap, np.uint8), count=count, bitorder="little").astype(bool)


def _short_texts(views: memoryview) -> list[str | None] | None:
    """Return the texts if every view holds its own, in ASCII: the usual case, in a fifth of the time."""
    lengths = np.frombuffer(views, "<i4")[::4]
    raw = bytes(views)
    if not len(lengths):
        return []
    if lengths.min() < 0 or lengths.max() > _INLINE_BYTES or not raw.isascii():
        return None
    words = np.frombuffer(views, "<u8")
    if lengths.max() <= _CODE_BYTES and not words[1::2].any():
        return _codes(words[::2])
    text = raw.decode("ascii")
    return [text[at : at + length] for at, length in zip(range(4, len(raw), 16), lengths.tolist(), strict=True)]


def _codes(words: Array) -> list[str | None]:
    """Return texts that lie with their length in eight bytes; such short ones repeat, and each is made once."""
    distinct, which = np.unique(words, return_inverse=True)
    texts = [one.to_bytes(8, "little")[4 : 4 + (one & 0xFFFFFFFF)].decode("ascii") for one in distinct.tolist()]
    return _taken(texts, which)


def _taken(texts: Sequence[str | None], which: Array) -> list[str | None]:
    found: list[str | None] = np.array(texts, dtype=object).take(which).tolist()
    return found


def _cut(name: str, offsets: Array, data: memoryview) -> list[str | None]:
    if not len(offsets):
        return []
    if offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise WrongStream("has texts that are not there", name)
    ends: Sequence[int] = offsets.tolist()
    raw = bytes(data[ends[0] : ends[-1]])
    first = ends[0]
    text: Any = raw.decode("ascii") if raw.isascii() else None
    if text is not None:
        return [text[start - first : end - first] for start, end in pairwise(ends)]
    return [raw[start - first : end - first].decode() for start, end in pairwise(ends)]


def _looked_up(
    field: Field, indices: Array, missing: Array | None, dictionaries: dict[int, list[str | None]]
) -> list[str | None]:
    texts = dictionaries.get(field.dictionary if field.dictionary is not None else -1, [])
    if missing is not None:
        indices = np.where(missing, 0, indices)
    if len(indices) and (
        indices.min() < 0 or (indices.max() >= len(texts) and not (missing is not None and not texts))
    ):
        raise WrongStream("has an index that its dictionary has not", field.name)
    found: list[str | None] = _taken(texts, indices) if texts else [None] * len(indices)
    if missing is not None:
        found = [None if gone else text for text, gone in zip(found, missing.tolist(), strict=True)]
    _counted(field.name, sum(len(text) for text in found if text is not None))
    return found


def _counted(name: str, total: int) -> int:
    if total > MOST_TEXT_BYTES:
        raise WrongStream(f"has texts of more than {MOST_TEXT_BYTES} bytes", name)
    return total


def _check_moments(name: str, seconds: Array) -> None:
    """Refuse times that no calendar has: before the year 1 or after 9999."""
    if len(seconds) and (seconds.min() < -62_135_596_800 or seconds.max() > 253_402_300_799):
        raise WrongStream("has a time that no calendar has", name)


def _joined(name: str, several: Sequence[Values]) -> Values:
    if len(several) == 1:
        return several[0]
    if not several:
        return Values("nothing", None, [], None)
    first = several[0]
    if first.array is None:
        texts = [text for one in several for text in one.texts]
        _counted(name, sum(len(text) for text in texts if text is not None))
        return Values(first.kind, None, texts, None)
    arrays = [one.array for one in several if one.array is not None]
    masks = [np.zeros(len(a), bool) if one.missing is None else one.missing
             for one, a in zip(several, arrays, strict=True)]  # fmt: skip
    missing = np.concatenate(masks) if any(one.missing is not None for one in several) else None
    return Values(first.kind, np.concatenate(arrays), [], missing)
