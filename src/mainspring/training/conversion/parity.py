"""Proof that a graph answers as the estimator does, on held-out rows and on rows chosen to break it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from mainspring.kernel.schema import Signature
from mainspring.registry.version import Parity

Floats = np.typing.NDArray[np.float64]
Scorer = Callable[[pl.DataFrame], Floats]
TOLERANCE = 1e-5
UNSEEN = "\u2205 never seen"
MOST_ROWS = 20_000


def edge_rows(inputs: pl.DataFrame, signature: Signature, thresholds: dict[str, Any] | None = None) -> pl.DataFrame:
    """Return rows with a missing value, an unseen category, an extreme, and values beside the splits, a column each.

    Each such value is put into a few rows of ``inputs``, other ones each time, so that many branches are reached.
    """
    made = [inputs.head(50)]
    start = 0
    for column in signature.inputs:
        for value in _edges(inputs.get_column(column.name), column.nullable, (thresholds or {}).get(column.name)):
            literal = pl.lit(value, dtype=inputs.schema[column.name])
            chosen = inputs.slice(start, 4) if start + 4 <= inputs.height else inputs.head(4)
            start = 0 if start + 8 > inputs.height else start + 4
            made.append(chosen.with_columns(literal.alias(column.name)))
    return pl.concat(made)


def prove(graph: Scorer, estimator: Scorer, inputs: pl.DataFrame, edges: pl.DataFrame, signature: Signature,
          threshold: float | None = None) -> Parity:  # fmt: skip
    """Compare answers; equal means that no difference exceeds the tolerance, of any class. Flips of decisions count.

    The tolerance is absolute for probabilities, and relative to the spread of the answers for estimates.
    """
    ordinary = inputs.head(MOST_ROWS)
    rows = pl.concat([ordinary, edges])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rows are chosen to be strange
            ours, theirs = graph(rows), estimator(rows)
    except Exception as error:  # an estimator that raises has no equal among graphs
        return Parity(rows.height, 0.0, TOLERANCE, 0, equal=False, reason=f"a row raised: {str(error)[:200]}")
    spread = max(1.0, float(np.std(theirs))) if signature.task == "regression" else 1.0
    tolerance = TOLERANCE * spread
    difference = np.where(np.isfinite(ours) & np.isfinite(theirs), np.abs(ours - theirs), np.inf)
    difference = difference if difference.ndim == 1 else difference.max(axis=1)
    largest = float(difference.max())
    flipped = _flipped(ours, theirs, signature, threshold)
    equal = largest <= tolerance
    flips = int(flipped.sum())
    reason = "" if equal else f"differs by up to {largest:.3g} where {tolerance:.3g} is allowed, {flips} decisions flip"
    return Parity(
        rows.height,
        min(largest, 1e300),
        tolerance,
        flips,
        equal=equal,
        reason=reason,
        edge_rows=edges.height,
        edge_largest_difference=min(float(difference[ordinary.height :].max(initial=0.0)), 1e300),
        edge_flips=int(flipped[ordinary.height :].sum()),
    )


def _flipped(ours: Floats, theirs: Floats, signature: Signature, threshold: float | None) -> Any:
    """Return which rows (n,) are decided otherwise: another class is the likeliest, or the other side of the cut."""
    if signature.task == "multiclass":
        return ours.argmax(axis=1) != theirs.argmax(axis=1)
    if signature.task != "binary" and threshold is None:
        return np.zeros(len(ours), dtype=np.bool_)
    cut = 0.5 if threshold is None else threshold
    return (ours >= cut) != (theirs >= cut)


def _edges(values: pl.Series, nullable: bool, thresholds: Any) -> Iterator[Any]:
    if nullable:
        yield None
    if values.dtype == pl.String:
        yield UNSEEN
        if not nullable:
            yield ""  # in a nullable column the empty text stands for a missing one: a graph knows no other
        return
    if values.dtype not in (pl.Float64, pl.Int64) or values.null_count() == values.len():
        return
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    extremes = [low - 1, high + 1, low - 10 * (high - low) - 1, high + 10 * (high - low) + 1]
    splits = [] if thresholds is None else [t for one in thresholds for t in _beside(one)]
    if values.dtype == pl.Int64:
        yield from dict.fromkeys(side for value in (*extremes, *splits) for side in _whole(value))
    else:
        yield from (*extremes, *splits)


def _beside(split: float) -> tuple[float, ...]:
    """Return the split, and its neighbours in double and in single precision: libraries compare in one or the other."""
    single = np.float32(split)
    singles = [float(np.nextafter(single, np.float32(to))) for to in (-np.inf, np.inf)]
    return float(np.nextafter(split, -np.inf)), split, float(np.nextafter(split, np.inf)), float(single), *singles


def _whole(value: float) -> tuple[int, ...]:
    return math.floor(value), math.ceil(value)
