"""How a row becomes one tensor: the packed build of a graph, whose texts are codes before the graph is asked.

``packing.json`` lies in a package beside ``packed.onnx``. Which of a version's graphs answers is said by the package
alone: where it holds a packing, the packed one; so a replay runs what serving ran.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from mainspring.kernel.errors import Damaged, InvalidInput
from mainspring.kernel.schema import Signature
from mainspring.serving.ports import Row

FORMAT = 1
GRAPH = "packed.onnx"
FILE = "packing.json"


class PackedColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the tensor: an input as it is, or the code of a text; a text without a code has ``otherwise``."""

    name: str
    codes: dict[str, float] | None = None
    otherwise: float | None = None


class Packing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one input of a packed graph, column by column; NaN is written as None."""

    input: str
    kind: Literal["float", "double"]
    columns: tuple[PackedColumn, ...]
    format: int = FORMAT


def read_packing(data: bytes) -> Packing:
    """Return the packing that a package holds."""
    found = msgspec.json.decode(data, type=Packing)
    if found.format > FORMAT:
        raise Damaged("was written by a newer version", field=FILE, value=found.format, remedy="install that version")
    return found


def filler(packing: Packing, signature: Signature) -> Callable[[Row], list[Any]]:
    """Return what makes a row of the signature's inputs a row of the tensor; a missing number stays None.

    >>> from mainspring.kernel.schema import Column
    >>> packing = Packing("x", "double", (PackedColumn("n"), PackedColumn("carrier", {"AA": 1.0}, -1.0)))
    >>> fill = filler(packing, Signature("binary", (Column("carrier", "str"), Column("n", "float"))))
    >>> fill(("AA", 2.5)), fill((None, None))
    ([2.5, 1.0], [None, -1.0])
    """
    places = {column.name: place for place, column in enumerate(signature.inputs)}
    unknown = [column.name for column in packing.columns if column.name not in places]
    if unknown:
        raise InvalidInput("is a packed column but not an input", field=unknown[0], value=sorted(places))
    order = [places[column.name] for column in packing.columns]
    texts = []
    for at, column in enumerate(packing.columns):
        if column.codes is not None:
            codes: dict[str | None, float | None] = dict(column.codes.items())
            codes[None] = codes.get("", column.otherwise)  # a missing text is the empty one
            texts.append((at, codes.get, column.otherwise))

    def fill(row: Row) -> list[Any]:
        values = [row[place] for place in order]
        for at, code, otherwise in texts:
            values[at] = code(values[at], otherwise)
        return values

    return fill
