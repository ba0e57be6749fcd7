"""Rows in the three shapes that protocols wrap: objects, columns by name, and lists of values in the columns' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.edges.gateway.protocols.codec import Decoded
from mainspring.edges.gateway.protocols.document import first_byte, read
from mainspring.kernel.schema import Column
from mainspring.serving.columnar import ColumnDecoder, Values, listed
from mainspring.serving.decode import Malformed, RowDecoder

_ROWS = "send a list of rows: objects by column, or lists of values in the order of the columns"
_COLUMNS = "send a list of values for each column"
_any_list = msgspec.json.Decoder(list[Any])
_columns = msgspec.json.Decoder(dict[str, Any])


class Table:
    """The columns of a model, and the ways in which their values may come."""

    def __init__(self, columns: Sequence[Column], decoder: RowDecoder) -> None:
        self.columns = ColumnDecoder(columns)
        self._objects = decoder

    @property
    def names(self) -> tuple[str, ...]:
        return self.columns.names

    def from_columns(self, given: Mapping[str, Values]) -> Decoded:
        """Return what columns by name hold."""
        checked = self.columns.check(given)
        return Decoded(self.columns.finish(checked), listed(checked))

    def from_rows(self, raw: msgspec.Raw | bytes, within: str) -> Decoded:
        """Return what a JSON list of rows holds; objects are kept for the log as they came."""
        body = bytes(raw)
        if first_byte(body) != b"[":
            raise Malformed("wrong_type", "is not a list", field=within, remedy=_ROWS)
        if first_byte(body.lstrip()[1:]) == b"{":
            return Decoded(self._objects.decode(body)[0], body)
        rows = read(_any_list, body, _ROWS, within)
        if len(self.names) == 1 and not any(isinstance(row, list) for row in rows):
            return self.from_columns({self.names[0]: rows})
        return self.from_columns(self.columns.by_place(rows))

    def from_either(self, raw: msgspec.Raw, within: str) -> Decoded:
        """Return what ``inputs`` hold: an object with a list a column, or a list of rows."""
        if first_byte(raw) != b"{":
            return self.from_rows(raw, within)
        given = read(_columns, raw, _COLUMNS, within)
        return self.from_columns({name: _flat(name, values) for name, values in given.items()})


def _flat(name: str, values: Any) -> Values:
    """Return a column's values; ``[[1], [2]]``, a tensor of one column, is ``[1, 2]``."""
    if not isinstance(values, list):
        raise Malformed("wrong_type", "is not a list of values", field=name, value=values, remedy=_COLUMNS)
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values
