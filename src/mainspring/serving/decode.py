"""Typed decoding of request bodies: one decoder a model, built once; every fault names field, value and remedy."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mainspring.kernel.clock import parse_time, to_us
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.schema import Column, Kind
from mainspring.serving.ports import Row

TYPES: dict[Kind, type] = {"int": int, "float": float, "bool": bool, "str": str, "time": str}
SHOWN: dict[Kind, str] = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "time": "an ISO 8601 time",
}  # fmt: skip
_GREATEST_INT = 2**63
_QUOTED = re.compile(r"`([^`]*)`")
_PATH = re.compile(r"at `\$(?:\[(\d+)\])?(?:\.([^`]*))?`$")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_SPACE = b" \t\r\n"
_SHAPE = "send one JSON object, or a list of objects"


class Malformed(InvalidInput):
    """The body is not what the route takes; ``kind`` is its stable code."""

    def __init__(self, kind: str, what: str, *, field: str | None = None, value: Any = None, remedy: str | None = None):
        self.kind = kind
        super().__init__(what, field=field, value=value, remedy=remedy)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "code": self.kind}


class RowDecoder:
    """Decodes one JSON object, or a list of them, that hold exactly ``columns``.

    >>> decoder = RowDecoder((Column("flight", "str"), Column("distance", "float")))
    >>> decoder.decode(b'{"distance": 228, "flight": "UA1"}')
    ([('UA1', 228.0)], False)
    """

    def __init__(self, columns: Sequence[Column], optional: Sequence[str] = ()) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self._optional = tuple(optional)
        self._row = row_type(columns, optional)
        self._one = msgspec.json.Decoder(self._row)
        self._many = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._finish = [(i, finisher(column)) for i, column in enumerate(columns) if column.kind in ("int", "time")]

    def decode(self, body: bytes) -> tuple[list[Row], bool]:
        """Return the rows, and whether the body was a list."""
        several = body[:1] == b"[" or body.lstrip(_SPACE)[:1] == b"["
        try:
            if several:
                rows = [msgspec.structs.astuple(row) for row in self._many.decode(body)]
            else:
                rows = [msgspec.structs.astuple(self._one.decode(body))]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise fault(error, body, self.columns) from None
        given = len(rows) * len(self.names)
        if self._optional:
            given -= sum(row.count(msgspec.UNSET) for row in rows)
            rows = [tuple([None if value is msgspec.UNSET else value for value in row]) for row in rows]
        if body.count(b":") > given and _STRING.sub(b"", body).count(b":") > given:
            raise _given_twice(body, several)
        if self._finish:
            rows = [self._finished(row, index if several else None) for index, row in enumerate(rows)]
        return rows, several

    def _finished(self, row: Row, index: int | None) -> Row:
        values = list(row)
        for place, finish in self._finish:
            if values[place] is not None:
                values[place] = finish(values[place], index)
        return tuple(values)


def row_type(columns: Sequence[Column], optional: Sequence[str] = ()) -> Any:
    """Return the Struct type of a row; names need not be Python words. ``optional`` columns may be left out."""
    fields: list[Any] = []
    for place, column in enumerate(columns):
        kind: Any = TYPES[column.kind]
        if column.name in optional:
            fields.append((f"c{place}", kind | msgspec.UnsetType | None, msgspec.UNSET))
        else:
            fields.append((f"c{place}", kind | None if column.nullable else kind))
    rename = {f"c{place}": column.name for place, column in enumerate(columns)}
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def finisher(column: Column) -> Callable[[Any, int | None], Any]:
    """Return what turns a decoded whole number or time into the row's value, or refuses it, naming the row."""

    def whole(value: int, index: int | None) -> int:
        if -_GREATEST_INT <= value < _GREATEST_INT:
            return value
        raise Malformed("out_of_range", "does not fit in 64 bits", field=where_in(column.name, index), value=value)

    def moment(value: str, index: int | None) -> int:
        try:
            return to_us(parse_time(value, field=where_in(column.name, index)))
        except InvalidInput as error:
            raise Malformed(
                "wrong_time", error.what, field=error.field, value=error.value, remedy=error.remedy
            ) from None

    return whole if column.kind == "int" else moment


def fault(error: Exception, body: bytes, columns: Sequence[Column]) -> Malformed:
    """Return what is wrong with a body that did not decode, in words."""
    if not isinstance(error, msgspec.ValidationError):
        return _not_finite(body, columns) or _not_json(error, body)
    text = str(error)
    quoted = _QUOTED.findall(text)
    path = _PATH.search(text)
    index = int(path[1]) if path and path[1] else None
    names = [column.name for column in columns]
    if text.startswith("Object missing required field"):
        return Malformed("missing_field", "is missing", field=where_in(quoted[0], index), remedy="send every column")
    if text.startswith("Object contains unknown field"):
        return Malformed(
            "unknown_field", "is not a column here", field=where_in(quoted[0], index), remedy=nearest(quoted[0], names)
        )
    name = path[2] if path and path[2] else None
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        where = "body" if index is None else f"[{index}]"
        return Malformed("wrong_type", "is not a JSON object", field=where, value=quoted[1], remedy=_SHAPE)
    where = where_in(column.name, index)
    if text.startswith("Number out of range"):
        return Malformed("not_finite", "is not a finite number", field=where, remedy="send a number below 1.8e308")
    got = quoted[1] if len(quoted) > 2 else None
    or_null = " or null" if column.nullable else ""
    return Malformed(
        "wrong_type",
        f"must be {SHOWN[column.kind]}{or_null}",
        field=where,
        value=_found(body, column.name, index, got),
    )


def where_in(name: str, index: int | None) -> str:
    """Return how errors name a column, in the row of that index."""
    return name if index is None else f"[{index}].{name}"


def _found(body: bytes, name: str, index: int | None, kind: str | None) -> Any:
    try:
        value = msgspec.json.decode(body)
        row = value if index is None else value[index]
        return row[name] if row[name] is not None else "null"
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, RecursionError):
        return kind


def _not_json(error: Exception, body: bytes) -> Malformed:
    if not body.strip(_SPACE):
        return Malformed("not_json", "the body is empty", remedy=_SHAPE)
    if isinstance(error, UnicodeDecodeError):
        return Malformed("not_json", "the body is not UTF-8 text", remedy=_SHAPE)
    return Malformed("not_json", f"the body is not JSON: {error}", remedy=_SHAPE)


def _given_twice(body: bytes, several: bool) -> Malformed:
    pairs = json.loads(body, object_pairs_hook=lambda found: [name for name, _ in found])
    for index, names in enumerate(pairs if several else [pairs]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            where = where_in(twice, index if several else None)
            return Malformed("duplicate_field", "is given twice", field=where, remedy="give each column once")
    return Malformed("duplicate_field", "a column is given twice", field="body", remedy="give each column once")


def _not_finite(body: bytes, columns: Sequence[Column]) -> Malformed | None:
    """Name the field that holds NaN or Infinity, which Python writes and JSON does not know."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    nullable = {column.name for column in columns if column.nullable}
    rows = value if isinstance(value, list) else [value]
    for index, row in enumerate(rows):
        for name, item in row.items() if isinstance(row, dict) else ():
            if isinstance(item, float) and not math.isfinite(item):
                where = where_in(name, index if isinstance(value, list) else None)
                remedy = "send null if it is missing" if name in nullable else "send a number"
                return Malformed("not_finite", "is not a finite number", field=where, value=item, remedy=remedy)
    return None
