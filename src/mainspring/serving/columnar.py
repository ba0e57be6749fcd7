"""Rows from values that came column by column, or without names: the same checks and errors as for JSON objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import msgspec
import numpy as np

from mainspring.kernel.errors import nearest
from mainspring.kernel.schema import Column
from mainspring.serving.decode import SHOWN, TYPES, Malformed, finisher, where_in
from mainspring.serving.ports import Row

Values = Sequence[Any]
Array = np.typing.NDArray[Any]


class ColumnDecoder:
    """Takes one sequence of values a column; a column that may be missing may be left out as a whole.

    >>> decoder = ColumnDecoder((Column("flight", "str"), Column("wind", "float", nullable=True)))
    >>> decoder.decode({"flight": ["UA1", "UA2"]})
    [('UA1', None), ('UA2', None)]
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self._by_name = {column.name: column for column in columns}
        self._types: dict[str, Any] = {c.name: _list_of(c) for c in columns}
        self._finish = {c.name: finisher(c) for c in columns if c.kind in ("int", "time")}

    def decode(self, given: Mapping[str, Values]) -> list[Row]:
        """Return the rows; every column has as many values."""
        return self.finish(self.check(given))

    def check(self, given: Mapping[str, Values]) -> dict[str, Values]:
        """Return every column's values, checked; times are still text, as the log keeps them."""
        count = self._count(given)
        return {
            name: self._checked(name, given[name]) if name in given else self._missing(name, count)
            for name in self.names
        }

    def finish(self, checked: Mapping[str, Values]) -> list[Row]:
        """Return the rows of checked columns."""
        columns = dict(checked)
        for name, finish in self._finish.items():
            values = enumerate(columns[name])
            columns[name] = [None if value is None else finish(value, index) for index, value in values]
        return list(zip(*columns.values(), strict=True))

    def check_names(self, names: Iterable[str]) -> None:
        """Refuse names that are no columns, and those that are missing and must not be."""
        given = set(names)
        for name in given - self._by_name.keys():
            raise Malformed("unknown_field", "is not a column here", field=name, remedy=nearest(name, self._by_name))
        for name in self.names:
            if name not in given:
                self._missing(name, 0)

    def _count(self, given: Mapping[str, Values]) -> int:
        self.check_names(given)
        counts = {name: len(values) for name, values in given.items()}
        if len(set(counts.values())) > 1:
            first, most = next(iter(counts.items()))
            name, other = next((name, other) for name, other in counts.items() if other != most)
            what = f"has {other} values where {first} has {most}"
            raise Malformed("unequal_columns", what, field=name, remedy="send as many values in every column")
        return next(iter(counts.values()), 0)

    def by_place(self, rows: Sequence[Any]) -> dict[str, Values]:
        """Return columns from rows that are lists of values in the order of the model's columns."""
        return self.named(self.names, rows)

    def named(self, names: Sequence[str], rows: Sequence[Any]) -> dict[str, Values]:
        """Return columns from rows that are lists of values in the order of ``names``."""
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Malformed("duplicate_field", "is given twice", field=twice, remedy="give each column once")
        for index, row in enumerate(rows):
            if not isinstance(row, list | tuple):
                remedy = "send a list of lists, or a list of objects"
                raise Malformed("wrong_type", "is not a list of values", field=f"[{index}]", value=row, remedy=remedy)
            if len(row) != len(names):
                what = f"has {len(row)} values where there are {len(names)} columns"
                raise Malformed("wrong_length", what, field=f"[{index}]", remedy=f"send {', '.join(names)}"[:200])
        if not rows:
            return dict.fromkeys(names, ())
        return dict(zip(names, zip(*rows, strict=True), strict=True))

    def _checked(self, name: str, values: Values) -> Values:
        try:
            return _convert(values, self._types[name])
        except msgspec.ValidationError as error:
            whole = _whole(values) if self._by_name[name].kind == "int" else values
            try:
                return _convert(whole, self._types[name])
            except msgspec.ValidationError:
                raise self._wrong(name, values, error) from None

    def _wrong(self, name: str, values: Values, error: msgspec.ValidationError) -> Malformed:
        column = self._by_name[name]
        for index, value in enumerate(values):
            try:
                msgspec.convert([value], self._types[name])
            except msgspec.ValidationError:
                or_null = " or null" if column.nullable else ""
                what = f"must be {SHOWN[column.kind]}{or_null}"
                shown = "null" if value is None else value
                return Malformed("wrong_type", what, field=where_in(name, index), value=shown)
        return Malformed("wrong_type", str(error), field=name)

    def _missing(self, name: str, count: int) -> Values:
        if not self._by_name[name].nullable:
            raise Malformed("missing_field", "is missing", field=name, remedy="send every column")
        return (None,) * count


def _convert(values: Values, kind: Any) -> Values:
    converted: list[Any] = msgspec.convert(values, kind)
    return converted


def _whole(values: Values) -> Values:
    """Return whole floats as integers: a table that marks what is missing by NaN holds its integers as floats."""
    return [int(v) if type(v) is float and v.is_integer() and abs(v) <= 2.0**53 else v for v in values]


def _list_of(column: Column) -> Any:
    kind: Any = TYPES[column.kind]
    return list[kind | None] if column.nullable else list[kind]


def listed(checked: Mapping[str, Values]) -> bytes:
    """Return checked columns as a JSON list of objects: what the log keeps of the rows."""
    names = tuple(checked)
    return msgspec.json.encode([dict(zip(names, row, strict=True)) for row in zip(*checked.values(), strict=True)])


class ColumnRows(Sequence[Row]):
    """Rows that stay columns: each an array of numbers, in which NaN is missing, or a sequence of plain values.

    Where they came as rows, these are kept beside the columns, because some ask for rows.

    >>> rows = ColumnRows(2, [["UA1", "UA2"], np.array([228.0, np.nan])])
    >>> rows[1], rows.column(1)
    (('UA2', None), [228.0, None])
    """

    def __init__(self, count: int, columns: Sequence[Array | Values], rows: Sequence[Row] | None = None) -> None:
        self._count = count
        self.columns = columns
        self._rows = rows
        self._plain: dict[int, Values] = {}

    def column(self, place: int) -> Values:
        """Return the plain values of a column; what is missing is None."""
        found = self._plain.get(place)
        if found is None:
            column = self.columns[place]
            found = self._plain[place] = plain(column) if isinstance(column, np.ndarray) else column
        return found

    def take(self, places: Sequence[int]) -> ColumnRows:
        """Return some of the rows, in their order."""
        if len(places) == self._count:
            return self
        columns = [
            column[list(places)] if isinstance(column, np.ndarray) else [column[place] for place in places]
            for column in self.columns
        ]
        return ColumnRows(len(places), columns, self._rows and [self._rows[place] for place in places])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self._count))]
        if not -self._count <= place < self._count:
            raise IndexError(place)
        if self._rows is not None:
            return self._rows[place]
        return tuple([self.column(at)[place] for at in range(len(self.columns))])


def plain(column: Array) -> list[Any]:
    """Return an array's values, None for NaN."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f":
        for place in np.flatnonzero(np.isnan(column)).tolist():
            values[place] = None
    return values


def by_column(rows: Sequence[Row]) -> Sequence[Row]:
    """Return several rows as columns, with the rows beside them; one row is a row."""
    if len(rows) < 2 or isinstance(rows, ColumnRows):
        return rows
    return ColumnRows(len(rows), list(zip(*rows, strict=True)), rows)


def column_of(rows: Sequence[Row], place: int) -> Values:
    """Return one column of rows, however they are held."""
    return rows.column(place) if isinstance(rows, ColumnRows) else [row[place] for row in rows]
