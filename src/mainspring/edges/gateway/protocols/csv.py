"""CSV rows, with a line of names or without one in the order of the model's columns; an empty field is missing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from mainspring.edges.gateway.protocols.answers import told
from mainspring.edges.gateway.protocols.codec import Decoded, Given, Headers
from mainspring.edges.gateway.protocols.table import Table
from mainspring.kernel.schema import Column, Kind
from mainspring.serving.decode import SHOWN, Malformed, where_in

_SHAPE = "send one line a row, separated by commas, in UTF-8"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}(\.0*)?", re.ASCII)
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Csv:
    """``text/csv`` in and out, for one model."""

    name = "csv"

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, body: bytes, headers: Any) -> Decoded:
        lines = _lines(body)
        names: Sequence[str] = self._table.names
        if lines and _has_names(lines[0], names, headers.get("content-type", "")):
            names = lines.pop(0)
        known = {column.name: column for column in self._table.columns.columns}
        given = self._table.columns.named(names, lines)
        return self._table.from_columns(
            {name: _column(known[name], texts) if name in known else texts for name, texts in given.items()}
        )

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        """One line a row: the value, and the decision where the version has a threshold."""
        lines = [
            f"{value!r}\n" if arm.threshold is None else f"{value!r},{str(value >= arm.threshold).lower()}\n"
            for arm, value in given
        ]
        return told("text/csv; charset=utf-8", id, given), "".join(lines).encode()


def _lines(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
        return [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except UnicodeDecodeError:
        raise Malformed("not_csv", "the body is not UTF-8 text", remedy=_SHAPE) from None
    except csv.Error as error:
        raise Malformed("not_csv", f"the body is not CSV: {error}", remedy=_SHAPE) from None


def _has_names(line: Sequence[str], names: Sequence[str], content_type: str) -> bool:
    """Tell whether the first line names columns: as ``header=`` says, else if most of its fields are names."""
    said = content_type.replace(" ", "").lower()
    if "header=present" in said:
        return True
    if "header=absent" in said:
        return False
    return len(set(line) & set(names)) * 2 > len(line)


def _column(column: Column, texts: Sequence[str]) -> list[Any]:
    read = _READ[column.kind]
    values: list[Any] = []
    for index, text in enumerate(texts):
        if not text and (column.nullable or column.kind != "str"):
            values.append(None)
            continue
        try:
            values.append(read(text))
        except ValueError:
            what = f"must be {SHOWN[column.kind]}" + (" or empty" if column.nullable else "")
            raise Malformed("wrong_type", what, field=where_in(column.name, index), value=text) from None
    return values


def _float(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _int(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text.partition(".")[0])


def _bool(text: str) -> bool:
    if text not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text]


_READ: dict[Kind, Callable[[str], Any]] = {"float": _float, "int": _int, "bool": _bool, "str": str, "time": str}
