"""What a vector of class probabilities earned, once it is known which class came true: one number a row.

The credit lies in [0, 1], and its loss against the outcome 1, as of any probability, is the loss of the vector. So
bounds, tests and rehearsals know of one number a row, whatever the task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NO_CLASS = -1
_BETWEEN = "\x1f"


def credit(metric: str, vectors: Floats, label: Ints) -> Floats:
    """Return the credit (n,) of probabilities ``(n, k)``; ``label`` (n,) is the place of the class that came true.

    For log loss it is the probability of that class; for the error 1 where that class was the likeliest. Brier is half
    the summed squared errors, so that two classes cost what one probability of them does. A class that a version does
    not know (``NO_CLASS``) was given no probability.

    >>> vectors = np.array([[0.2, 0.7, 0.1]])
    >>> [round(float(credit(metric, vectors, np.array([0]))[0]), 3) for metric in ("log_loss", "error", "brier")]
    [0.2, 0.0, 0.245]
    """
    known = label != NO_CLASS
    given = np.where(known, vectors[np.arange(len(label)), np.where(known, label, 0)], 0.0)
    if metric == "error":
        return np.asarray(known & (vectors.argmax(axis=1) == label), dtype=np.float64)
    if metric == "brier":
        half = (np.square(vectors).sum(axis=1) - 2.0 * given + 1.0) / 2.0
        return np.asarray(1.0 - np.sqrt(np.clip(half, 0.0, 1.0)))
    return np.asarray(given, dtype=np.float64)


def places(labels: Sequence[str | None], parts: Sequence[str]) -> Ints:
    """Return where each class stands among ``parts``."""
    known = {part: place for place, part in enumerate(parts)}
    return np.array([known.get(label or "", NO_CLASS) for label in labels], dtype=np.int64)


def credited(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return labelled rows of the log in which ``output`` is a vector's credit and ``value`` 1 where a class came true.

    Rows of models that answer one number are returned as they are.
    """
    if not rows["label"].is_not_null().any():
        return rows
    output = rows["output"].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    told = (rows["label"].is_not_null() & rows["vector"].is_not_null()).to_numpy()
    names = rows["parts"].list.join(_BETWEEN).to_list()
    for name in dict.fromkeys(name for name, is_told in zip(names, told, strict=True) if is_told):
        at = np.flatnonzero(told & np.array([one == name for one in names]))
        some = rows[at.tolist()]
        vectors = matrix(some["vector"])
        output[at] = credit(metric, vectors, places(some["label"].to_list(), str(name).split(_BETWEEN)))
    return rows.with_columns(
        output=pl.Series(output, dtype=pl.Float64).fill_nan(None),
        value=pl.when(pl.col("label").is_not_null()).then(1.0).otherwise(pl.col("value")),
    )


def as_credits(came: pl.DataFrame) -> pl.DataFrame:
    """Return outcomes in which a class that came true is the outcome 1, against which answers are credited."""
    return came.with_columns(value=pl.when(pl.col("label").is_not_null()).then(1.0).otherwise(pl.col("value")))


def matrix(column: pl.Series) -> Floats:
    """Return a column of numbers as (n,), and one of lists of numbers as (n, k)."""
    if isinstance(column.dtype, pl.List):
        return np.array(column.to_list(), dtype=np.float64)
    return np.asarray(column.to_numpy())
