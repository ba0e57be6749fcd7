"""The answers of a finished version on rows of a training frame."""

from __future__ import annotations

from typing import Any

import polars as pl

from mainspring.kernel.schema import Signature
from mainspring.kernel.values import Vector
from mainspring.serving.ports import Row
from mainspring.training.inputs import model_frame
from mainspring.training.ports import Run
from mainspring.training.usercode import Floats, checked_scores

CHUNK_ROWS = 1_000


def answers_of(run: Run, rows: pl.DataFrame, signature: Signature, place: str) -> Floats:
    """Return one answer a row, checked; ``rows`` is a training frame with the columns that the version asks for."""
    asked = serving_rows(rows, signature)
    found: list[Any] = [
        value for start in range(0, len(asked), CHUNK_ROWS) for value in run(asked[start : start + CHUNK_ROWS])
    ]
    if signature.task == "multiclass":
        found = [value.numbers if isinstance(value, Vector) else value for value in found]
    return checked_scores(found, rows.height, signature, place)


def serving_rows(rows: pl.DataFrame, signature: Signature) -> list[Row]:
    """Return rows as serving hands them to a version: in the order of its inputs, times in microseconds."""
    frame = model_frame(rows, signature)
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(name).dt.epoch("us") for name in times).rows()
