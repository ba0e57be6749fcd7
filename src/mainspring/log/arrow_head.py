"""The heads of Arrow messages: flatbuffers, and the columns that a schema names. No byte of them is trusted."""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

from mainspring.kernel.errors import InvalidInput

MOST_COLUMNS = 2_000
LARGE_TEXT, TEXT_VIEW = 20, 24
Kind = Literal["int", "float", "bool", "text", "time", "nothing"]

_NULL, _INT, _FLOAT, _TEXT, _BOOL, _TIMESTAMP = 1, 2, 3, 5, 6, 10
_TEXTS = (_TEXT, LARGE_TEXT, TEXT_VIEW)
_FLOATS = ("<f2", "<f4", "<f8")
_REMEDY = "send an Arrow IPC stream of flat columns, uncompressed"


class WrongStream(InvalidInput):
    """The bytes are not a stream that can be read."""

    code = "not_arrow"

    def __init__(self, what: str, field: str = "body") -> None:
        super().__init__(what, field=field, remedy=_REMEDY)


class Field(msgspec.Struct, frozen=True):
    """One column as the schema has it. ``stored`` is NumPy's name of its numbers, or of its dictionary's indices."""

    name: str
    kind: Kind
    type: int
    stored: str = ""
    unit: int = 0
    dictionary: int | None = None


def read_fields(schema: Table) -> list[Field]:
    """Return the columns of a schema."""
    if schema.number(0, "<h"):
        raise WrongStream("is big-endian")
    fields = [_field(table) for table in schema.tables(1, MOST_COLUMNS)]
    names = {field.name for field in fields}
    if len(names) < len(fields):
        raise WrongStream("has two columns of one name")
    return fields


def _field(table: Table) -> Field:
    name, kind = table.text(0), table.number(2, "<B")
    if table.has(4):
        encoding = table.table(4)
        index = _integer(encoding.table(1)) if encoding.has(1) else "<i4"
        if kind not in _TEXTS:
            raise WrongStream("has a dictionary of something else than texts", name)
        return Field(name, "text", kind, index, dictionary=encoding.number(0, "<q"))
    if kind == _INT:
        return Field(name, "int", kind, _integer(table.table(3)))
    if kind == _FLOAT:
        precision = table.table(3).number(0, "<h")
        if precision in (0, 1, 2):
            return Field(name, "float", kind, _FLOATS[precision])
    if kind == _BOOL:
        return Field(name, "bool", kind)
    if kind in _TEXTS:
        return Field(name, "text", kind)
    if kind == _NULL:
        return Field(name, "nothing", kind)
    if kind == _TIMESTAMP:
        told = table.table(3)
        if told.has(1) and told.text(1) and told.number(0, "<h") in (0, 1, 2, 3):
            return Field(name, "time", kind, "<i8", unit=told.number(0, "<h"))
        raise WrongStream("is a time without a zone", name)
    raise WrongStream("is of a type that is not taken", name)


def _integer(table: Table) -> str:
    bits = table.number(0, "<i")
    if bits not in (8, 16, 32, 64):
        raise WrongStream("is damaged: a width that there is not")
    return f"<{'i' if table.number(1, '<B') else 'u'}{bits // 8}"


class Table:
    """One table of a flatbuffer."""

    def __init__(self, buffer: memoryview, place: int) -> None:
        if place < 0:
            raise WrongStream("is damaged")
        self._buffer = buffer
        self._place = place
        self._vtable = place - struct.unpack_from("<i", buffer, place)[0]
        if self._vtable < 0:
            raise WrongStream("is damaged")
        self._size = struct.unpack_from("<H", buffer, self._vtable)[0]

    def _at(self, number: int) -> int:
        """Return where a field lies, or 0 for one that is not there."""
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return 0
        offset: int = struct.unpack_from("<H", self._buffer, self._vtable + entry)[0]
        return self._place + offset if offset else 0

    def has(self, number: int) -> bool:
        return self._at(number) != 0

    def number(self, number: int, form: str) -> int:
        """Return a scalar; what is not there is 0."""
        place = self._at(number)
        value: int = struct.unpack_from(form, self._buffer, place)[0] if place else 0
        return value

    def table(self, number: int) -> Table:
        place = self._at(number)
        if not place:
            raise WrongStream("is damaged: a part is missing")
        return Table(self._buffer, place + struct.unpack_from("<I", self._buffer, place)[0])

    def vector(self, number: int, size: int) -> tuple[int, int]:
        """Return where a vector's items begin and how many there are; all of them are there."""
        place = self._at(number)
        if not place:
            return 0, 0
        start = place + struct.unpack_from("<I", self._buffer, place)[0]
        count: int = struct.unpack_from("<I", self._buffer, start)[0]
        if start + 4 + count * size > len(self._buffer):
            raise WrongStream("breaks off")
        return start + 4, count

    def tables(self, number: int, most: int) -> list[Table]:
        start, count = self.vector(number, 4)
        if count > most:
            raise WrongStream(f"has more than {most} columns")
        places = [start + 4 * index for index in range(count)]
        return [Table(self._buffer, place + struct.unpack_from("<I", self._buffer, place)[0]) for place in places]

    def longs(self, number: int, each: int = 1) -> list[tuple[int, ...]]:
        """Return a vector of structs of ``each`` 64-bit numbers."""
        start, count = self.vector(number, 8 * each)
        return list(struct.iter_unpack(f"<{each}q", self._buffer[start : start + 8 * each * count]))

    def text(self, number: int) -> str:
        start, count = self.vector(number, 1)
        return bytes(self._buffer[start : start + count]).decode()


def root(buffer: memoryview) -> Table:
    """Return the table that a flatbuffer begins with."""
    return Table(buffer, struct.unpack_from("<I", buffer, 0)[0])
