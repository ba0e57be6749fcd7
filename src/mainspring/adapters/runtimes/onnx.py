"""ONNX Runtime with one thread: graphs that take one input per column, or one tensor with all of them.

A single row, and a few together, are answered from a buffer that was made when the graph was loaded: nothing is made
for them but the answer. ``run`` makes arrays of its own, so that other threads may call it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np
import onnxruntime

from mainspring.kernel.errors import Damaged, InvalidInput
from mainspring.kernel.schema import Signature
from mainspring.kernel.values import Vector
from mainspring.serving.packing import Filler, Packing
from mainspring.serving.ports import Columns, Row

Array = np.typing.NDArray[Any]
_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
FEW = 32
_MADE_UP = 11  # no multiple of what a processor takes at once
_LETTERS: dict[Any, str] = {np.float32: "f", np.float64: "d", np.int64: "q", np.int32: "i", np.bool_: "?"}


class OnnxRuntime:
    """One graph. The answer is the last column of its last output."""

    def __init__(self, model: bytes, signature: Signature, packing: Packing | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen unrelated classes for a bad graph
            raise Damaged("the ONNX graph cannot be loaded", value=str(error)[:200]) from error
        self._output = [session.get_outputs()[-1].name]
        # The class around the session checks every call anew in Python, which costs a third of a small graph's time.
        self._run = session._sess.run
        self._feed: _Tensor | _Columns
        self._busiest: int | None = None
        inputs = session.get_inputs()
        if packing is not None:
            filler, kind = Filler(packing, signature), _KINDS[packing.kind]
            self._feed = _Tensor(packing.input, kind, len(packing.columns), filler.row, filler.columns)
            self._busiest = packing.busiest
        elif _takes_one_tensor(inputs, signature):
            kind = _TYPES.get(inputs[0].type, np.float32)
            self._feed = _Tensor(inputs[0].name, kind, len(signature.inputs), list, list)
        else:
            self._feed = _Columns(inputs, signature)
        self.together = self._agrees(signature, packing)

    def run(self, rows: Sequence[Row]) -> list[float]:
        return self.run_columns(list(zip(*rows, strict=True)), len(rows))

    def run_columns(self, columns: Columns, count: int) -> list[float]:
        fed, order = self._feed.columns(columns), None
        if self._busiest is not None and count >= _WORTH_SORTING:
            fed, order = _sorted(fed, self._busiest)
        last = self._run(self._output, fed, None)[0].reshape(count, -1)[:, -1]
        if order is not None:
            sorted_last, last = last, np.empty_like(last)
            last[order] = sorted_last
        values: list[float] = last.tolist()
        return values

    def one(self, row: Row) -> float:
        """Return the answer for one row; for the one thread that owns this runtime alone."""
        answer: float = self._run(self._output, self._feed.one(row), None)[0].item(-1)
        return answer

    def few(self, rows: Sequence[Row]) -> list[float]:
        """Return the answers for up to ``FEW`` rows; for the one thread that owns this runtime alone."""
        answer = self._run(self._output, self._feed.few(rows), None)[0]
        values: list[float] = answer.reshape(len(rows), -1)[:, -1].tolist()
        return values

    def _agrees(self, signature: Signature, packing: Packing | None) -> bool:
        """Tell whether made-up rows are answered together as each is alone, to the last bit.

        Trees are. Products of matrices may round in another order, and then a replay of one row would differ.
        """
        rows = _made_up(signature, packing)
        try:
            return _bits(self.few(rows)) == _bits([self.one(row) for row in rows])
        except Exception:  # a made-up row may be nonsense to the model; then each is scored for itself
            return False


def _bits(values: Sequence[float]) -> bytes:
    numbers = [number for value in values for number in (value.numbers if isinstance(value, Vector) else (value,))]
    return struct.pack(f"{len(numbers)}d", *numbers)


def _made_up(signature: Signature, packing: Packing | None) -> list[Row]:
    """Return some rows of texts that the graph knows and numbers of many sizes, always the same ones."""
    numbers = np.random.default_rng(0)
    known = {column.name: list(column.codes) for column in packing.columns if column.codes} if packing else {}
    rows = []
    for row in range(_MADE_UP):
        scale = 10.0 ** (row % 5)
        values: list[Any] = []
        for column in signature.inputs:
            if column.kind == "str":
                words = known.get(column.name, [""])
                values.append(words[row % len(words)])
            elif column.kind == "bool":
                values.append(bool(row % 2))
            else:
                drawn = float(numbers.normal()) * scale
                values.append(drawn if column.kind == "float" else round(drawn))
        rows.append(tuple(values))
    return rows


def _sorted(fed: dict[str, Array], column: int) -> tuple[dict[str, Array], Array]:
    """Return a tensor's rows in the order of one column, and which they were.

    A tree is asked for one row after the other. Where neighbours are alike they go the same way, which a processor
    guesses; every wrong guess costs as much as reading five nodes. What a row is answered does not change.
    """
    ((name, tensor),) = fed.items()
    order = tensor[:, column].argsort()
    return {name: tensor[order]}, order


_WORTH_SORTING = 32  # rows; below, sorting costs what it saves
_KINDS: dict[str, Any] = {"float": np.float32, "double": np.float64}


_ByColumn = Callable[[Columns], list[Any]]


def _takes_one_tensor(inputs: Sequence[Any], signature: Signature) -> bool:
    names = {column.name for column in signature.inputs}
    return len(inputs) == 1 and inputs[0].name not in names and len(inputs[0].shape) == 2


class _Tensor:
    """Feeds a graph that takes one tensor ``(n, columns)``."""

    def __init__(self, name: str, kind: Any, count: int, fill: Callable[[Row], list[Any]], columns: _ByColumn) -> None:
        self._name = name
        self._kind = kind
        self._fill = fill
        self._fill_columns = columns
        self._block = _Block(kind, count, FEW)
        self._fed = {name: self._block.array[:1]}

    def one(self, row: Row) -> dict[str, Array]:
        self._block.put(self._fill(row))
        return self._fed

    def few(self, rows: Sequence[Row]) -> dict[str, Array]:
        fill, put = self._fill, self._block.put
        for at, row in enumerate(rows):
            put(fill(row), at)
        return {self._name: self._block.array[: len(rows)]}

    def many(self, rows: Sequence[Row]) -> dict[str, Array]:
        return self.columns(list(zip(*rows, strict=True)))

    def columns(self, columns: Columns) -> dict[str, Array]:
        return {self._name: np.ascontiguousarray(_filled(self._fill_columns(columns), self._kind).T)}


class _Columns:
    """Feeds a graph that takes one input a column: slices of one array a type, which costs a third of an array each."""

    def __init__(self, inputs: Sequence[Any], signature: Signature) -> None:
        places = {column.name: place for place, column in enumerate(signature.inputs)}
        unknown = [item.name for item in inputs if item.name not in places]
        if unknown:
            raise InvalidInput(
                "is an input of the graph but not of the signature", field=unknown[0], value=sorted(places)
            )
        grouped: dict[tuple[Any, bool], list[str]] = {}
        for item in inputs:
            grouped.setdefault((_TYPES.get(item.type, np.float32), len(item.shape) == 2), []).append(item.name)
        self._plan = [(kind, tall, names, [places[one] for one in names]) for (kind, tall), names in grouped.items()]
        self._fed: dict[str, Array] = {}
        self._numbers: list[tuple[Callable[[Sequence[Any]], None], list[int]]] = []
        self._texts: list[tuple[Array, int]] = []
        for kind, tall, names, wanted in self._plan:
            array = np.full(len(names), "", dtype=object)
            if kind is object:
                self._texts += [(array[at : at + 1], place) for at, place in enumerate(wanted)]
            else:
                block = _Block(kind, len(names))
                array = block.array[0]
                self._numbers.append((block.put, wanted))
            shape = (1, 1) if tall else (1,)
            self._fed.update({name: array[at : at + 1].reshape(shape) for at, name in enumerate(names)})

    def one(self, row: Row) -> dict[str, Array]:
        for put, wanted in self._numbers:
            put([row[place] for place in wanted])
        for cell, place in self._texts:
            value = row[place]
            cell[0] = "" if value is None else value
        return self._fed

    def few(self, rows: Sequence[Row]) -> dict[str, Array]:
        return self.many(rows)

    def many(self, rows: Sequence[Row]) -> dict[str, Array]:
        return self.columns(list(zip(*rows, strict=True)))

    def columns(self, columns: Columns) -> dict[str, Array]:
        fed: dict[str, Array] = {}
        for kind, tall, names, wanted in self._plan:
            chosen = [columns[place] for place in wanted]
            block = _text(chosen) if kind is object else _filled(chosen, kind)
            fed.update(zip(names, block[:, :, np.newaxis] if tall else block, strict=True))
        return fed


class _Block:
    """A few rows' values of one type, in memory that a graph was given once."""

    def __init__(self, kind: Any, count: int, rows: int = 1) -> None:
        self.array: Array = np.zeros((rows, count), dtype=kind)
        self._buffer = self.array.data.cast("B")
        packing = struct.Struct(f"={count}{_LETTERS[kind]}")
        self._pack, self._size = packing.pack_into, packing.size

    def put(self, values: Sequence[Any], row: int = 0) -> None:
        try:
            self._pack(self._buffer, row * self._size, *values)
        except (struct.error, OverflowError):  # a missing value, or one that must be cast: as ``many`` does it
            self.array[row] = np.array(values, dtype=self.array.dtype)


def _filled(columns: Sequence[Any], kind: Any) -> Array:
    """Return columns as the rows of one array; lists of numbers that lie side by side are taken in at once."""
    block: Array = np.empty((len(columns), len(columns[0])), dtype=kind)
    if kind is not np.float64:
        for at, column in enumerate(columns):
            block[at] = np.asarray(column, dtype=kind)
        return block
    for array, run in groupby(enumerate(columns), lambda one: isinstance(one[1], np.ndarray)):
        chosen = list(run)
        first = chosen[0][0]
        if array:
            for at, column in chosen:
                block[at] = column
            continue
        lists = [column for _, column in chosen]
        part = block[first : first + len(lists)]
        try:
            struct.pack_into(f"={part.size}d", part.data.cast("B"), 0, *chain.from_iterable(lists))
        except (struct.error, OverflowError):  # a missing value, or one that only a slower way can cast
            part[:] = np.array(lists, dtype=kind)
    return block


def _text(columns: Sequence[Sequence[Any]]) -> Array:
    """A missing text is the empty one in a graph: ONNX has no missing string."""
    return np.array([["" if value is None else value for value in column] for column in columns], dtype=object)
