"""Taking in an ONNX file that was made elsewhere: a worker loads it, runs one row, and says what it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Kind, Signature
from mainspring.training.runtime import OnnxScorer, p999_ms

_KINDS: dict[str, Kind] = {
    "tensor(string)": "str",
    "tensor(float)": "float",
    "tensor(double)": "float",
    "tensor(int64)": "int",
    "tensor(int32)": "int",
    "tensor(bool)": "bool",
}


class GraphFound(msgspec.Struct, frozen=True):
    """What a graph asks for, one input a column; whether the gateway may run it; how long one row takes.

    ``width`` is how many numbers its last output gives a row; None where nobody has asked it yet.
    """

    inputs: tuple[Column, ...]
    plain_graph: bool
    p999_ms: float | None
    width: int | None = None


def inspect(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Load the graph at ``spec["path"]`` and return a ``GraphFound`` as plain data."""
    data = Path(spec["path"]).read_bytes()
    try:
        scorer = OnnxScorer(data)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes for a bad graph
        raise InvalidInput(
            f"cannot be loaded: {str(error)[:200]}", field="file", remedy="export it again as ONNX"
        ) from error
    columns = tuple(_column(name, kind) for name, kind in scorer.types.items())
    row = pl.DataFrame({column.name: [_BLANK[column.kind]] for column in columns})
    try:
        answered = scorer.scores(row)
    except Exception as error:
        raise InvalidInput(
            f"cannot answer one row with one value an input: {str(error)[:200]}",
            field="file",
            remedy="give every input the shape [N, 1] and let the last output end in one number a row",
        ) from error
    if answered.size != 1:
        raise InvalidInput(f"gave {answered.size} answers for one row", field="file")
    feed = scorer.feed(row)
    width = int(np.asarray(scorer.run(feed)[-1]).size)
    found = GraphFound(columns, _plain(data), p999_ms(lambda: scorer.run(feed)), width)
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def signature_for(found: GraphFound, known: Signature) -> Signature:
    """Return the model's signature narrowed to the graph's inputs, in their order; kinds are the model's."""
    by_name = {column.name: column for column in known.inputs}
    missing = [column.name for column in found.inputs if column.name not in by_name]
    if missing:
        raise InvalidInput(
            f"asks for {', '.join(missing)}, which the model does not have",
            field="file",
            remedy=f"the model has: {', '.join(by_name)}",
        )
    inputs = tuple(by_name[column.name] for column in found.inputs)
    features = {column.name: known.features[column.name] for column in inputs if column.name in known.features}
    return msgspec.structs.replace(known, inputs=inputs, features=features)


def _column(name: str, kind: str) -> Column:
    if kind not in _KINDS:
        raise InvalidInput(f"has an input of type {kind}", field=name, remedy=f"use one of: {', '.join(_KINDS)}")
    return Column(name, _KINDS[kind])


def _plain(data: bytes) -> bool:
    try:
        from mainspring.training.conversion.graph import is_plain
    except ImportError:  # without the onnx package nodes cannot be looked at; then it runs in a model process
        return False
    return is_plain(data)


_BLANK: dict[Kind, Any] = {"str": "", "float": 0.0, "int": 0, "bool": False}
