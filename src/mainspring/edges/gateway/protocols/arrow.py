"""Arrow IPC streams in and out: for many rows at once, which stay columns all the way to the graph."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from mainspring.edges.gateway.limits import check_rows
from mainspring.edges.gateway.protocols.answers import told
from mainspring.edges.gateway.protocols.codec import Decoded, Given, Headers
from mainspring.kernel.schema import Column
from mainspring.log.arrow import Array, Stream, Values
from mainspring.serving.columnar import ColumnDecoder, ColumnRows
from mainspring.serving.decode import SHOWN, Malformed, finisher, where_in

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
_FITTING = {"float": ("float", "int"), "int": ("int",), "bool": ("bool",), "str": ("text",), "time": ("time", "text")}


class ArrowStream:
    """Record batches of a model's columns; answers ``value``, ``version`` and, where versions decide, ``decision``."""

    name = "arrow"

    def __init__(self, columns: ColumnDecoder, most_rows: int) -> None:
        self._columns = columns
        self._most_rows = most_rows

    def decode(self, body: bytes, headers: Any) -> Decoded:
        stream = Stream(body)
        self._columns.check_names(stream.names)
        count, given = stream.read(self._most_rows)
        check_rows(count, self._most_rows)
        columns = [_column(column, given.get(column.name), count) for column in self._columns.columns]
        return Decoded(ColumnRows(count, columns), body)

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        import polars as pl  # 40 MB that only a worker needs which is asked for Arrow

        arms, values = zip(*given, strict=True)
        answer: dict[str, Any] = {
            "value": np.array(values),
            "version": np.array([arm.number for arm in arms], dtype=np.int64),
        }
        if any(arm.threshold is not None for arm in set(arms)):
            decisions = [None if arm.threshold is None else value >= arm.threshold for arm, value in given]
            answer["decision"] = pl.Series(decisions, dtype=pl.Boolean)
        buffer = io.BytesIO()
        pl.DataFrame(answer).write_ipc_stream(buffer)
        return told(CONTENT_TYPE, id, given), buffer.getvalue()


def _column(column: Column, values: Values | None, count: int) -> Array | list[Any]:
    if values is None or values.kind == "nothing":
        _refuse_missing(column, None if values is None else np.ones(count, bool))
        return [None] * count
    if values.kind not in _FITTING[column.kind]:
        remedy = f"send {SHOWN[column.kind]}"
        raise Malformed("wrong_type", "is of a type that does not fit", field=column.name, value=values.kind,
                        remedy=remedy)  # fmt: skip
    if column.kind == "float":
        return _floats(column, values)
    if values.array is None:
        return _texts(column, values)
    _refuse_missing(column, values.missing)
    if values.array.dtype == np.uint64 and len(values.array) and values.array.max() > np.iinfo(np.int64).max:
        place = int(values.array.argmax())
        raise Malformed("out_of_range", "does not fit in 64 bits", field=where_in(column.name, place),
                        value=int(values.array[place]))  # fmt: skip
    array = values.array if values.array.dtype == bool else values.array.astype(np.int64)
    return array if values.missing is None else _with_none(array.tolist(), values.missing)


def _floats(column: Column, values: Values) -> Array:
    array: Array = np.asarray(values.array).astype(np.float64)
    if values.missing is not None:
        array[values.missing] = np.nan
    if np.isfinite(array).all():
        return array
    endless = np.flatnonzero(np.isinf(array))
    if len(endless):
        place = int(endless[0])
        raise Malformed("not_finite", "is not a finite number", field=where_in(column.name, place),
                        value=float(array[place]))  # fmt: skip
    _refuse_missing(column, np.isnan(array))
    return array


def _texts(column: Column, values: Values) -> list[Any]:
    texts: list[Any] = values.texts
    if not column.nullable and None in texts:
        _refuse_missing(column, np.array([text is None for text in texts]))
    if column.kind == "str":
        return texts
    finish = finisher(column)
    return [None if text is None else finish(text, index) for index, text in enumerate(texts)]


def _with_none(values: list[Any], missing: Array) -> list[Any]:
    for place in np.flatnonzero(missing).tolist():
        values[place] = None
    return values


def _refuse_missing(column: Column, missing: Array | None) -> None:
    if column.nullable or missing is None or not missing.any():
        return
    place = int(missing.argmax())
    remedy = "send every value"
    raise Malformed("wrong_type", f"must be {SHOWN[column.kind]}", field=where_in(column.name, place), value="null",
                    remedy=remedy)  # fmt: skip
