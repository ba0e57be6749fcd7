"""How a row becomes one tensor: the packed build of a graph, whose texts are codes before the graph is asked.

``packing.json`` lies in a package beside ``packed.onnx``. Which of a version's graphs answers is said by the package
alone: where it holds a packing, the packed one; so a replay runs what serving ran.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from mainspring.kernel.errors import Damaged, InvalidInput
from mainspring.kernel.schema import Signature
from mainspring.serving.ports import Columns, Row

FORMAT = 2
GRAPH = "packed.onnx"
FILE = "packing.json"


class PackedColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the tensor: an input as it is, or the code of a text; a text without a code has ``otherwise``."""

    name: str
    codes: dict[str, float | None] | None = None
    otherwise: float | None = None


class Packing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one input of a packed graph, column by column; NaN is written as None.

    ``busiest`` is the column that the nodes of its trees ask for most often, where it has trees.
    """

    input: str
    kind: Literal["float", "double"]
    columns: tuple[PackedColumn, ...]
    busiest: int | None = None
    format: int = FORMAT


class PackedGraph(msgspec.Struct, frozen=True):
    """A graph with one input, and how rows become it."""

    graph: bytes
    packing: Packing


def read_packing(data: bytes) -> Packing:
    """Return the packing that a package holds."""
    found = msgspec.json.decode(data, type=Packing)
    if found.format > FORMAT:
        raise Damaged("was written by a newer version", field=FILE, value=found.format, remedy="install that version")
    return found


class Filler:
    """Makes rows of a signature's inputs rows of the tensor; a missing number stays None.

    >>> from mainspring.kernel.schema import Column
    >>> packing = Packing("x", "double", (PackedColumn("n"), PackedColumn("carrier", {"AA": 1.0}, -1.0)))
    >>> filler = Filler(packing, Signature("binary", (Column("carrier", "str"), Column("n", "float"))))
    >>> filler.row(("AA", 2.5)), filler.row((None, None))
    ([2.5, 1.0], [None, -1.0])
    >>> filler.columns([["AA", "UA"], [2.5, 3.5]])
    [[2.5, 3.5], [1.0, -1.0]]
    """

    __slots__ = ("_order", "_texts", "_words")

    def __init__(self, packing: Packing, signature: Signature) -> None:
        places = {column.name: place for place, column in enumerate(signature.inputs)}
        unknown = [column.name for column in packing.columns if column.name not in places]
        if unknown:
            raise InvalidInput("is a packed column but not an input", field=unknown[0], value=sorted(places))
        self._order = [places[column.name] for column in packing.columns]
        self._texts: list[tuple[int, Callable[[str | None, float], float], float]] = []
        self._words: list[tuple[int, Callable[[str | None], float]]] = []
        for at, column in enumerate(packing.columns):
            if column.codes is not None:
                otherwise = math.nan if column.otherwise is None else column.otherwise
                codes: dict[str | None, float] = {
                    word: math.nan if code is None else code for word, code in column.codes.items()
                }
                codes[None] = codes.get("", otherwise)  # a missing text is the empty one
                self._texts.append((at, codes.get, otherwise))
                self._words.append((at, _Codes(codes, otherwise).__getitem__))

    def row(self, row: Row) -> list[Any]:
        """Return one row of the tensor."""
        values = [row[place] for place in self._order]
        for at, code, otherwise in self._texts:
            values[at] = code(values[at], otherwise)
        return values

    def columns(self, given: Columns) -> list[Any]:
        """Return the columns of the tensor for columns of the inputs."""
        columns: list[Any] = [given[place] for place in self._order]
        for at, code in self._words:
            columns[at] = list(map(code, columns[at]))
        return columns


class _Codes(dict[str | None, float]):
    """Codes of texts; of one that has none, too, and without a call in Python."""

    def __init__(self, codes: Mapping[str | None, float], otherwise: float) -> None:
        super().__init__(codes)
        self._otherwise = otherwise

    def __missing__(self, text: str | None) -> float:
        return self._otherwise
