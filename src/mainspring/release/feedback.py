"""Held out or not: what it does to outcomes that releases are tried on people at all. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from mainspring.release.evidence.drawn import drawn_terms, running_means
from mainspring.release.evidence.eprocess import interval
from mainspring.release.evidence.frames import ROW, by_horizon, silence_as_negative

ALPHA = 0.05


class Feedback(msgspec.Struct, frozen=True):
    """Units that are held out on the champion against the rest, over mature units, each counted once.

    ``difference`` is the rest's mean outcome less that of those held out, with an interval that holds at every look. An
    interval without zero says that releases change what comes true: the model is learning from what it caused.
    """

    share: float
    held_out: int
    rest: int
    mean_held_out: float | None
    mean_rest: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    words: str = ""


def feedback(
    rows: pl.DataFrame, labels: pl.DataFrame, horizon_us: int, bounds: tuple[float, float], *, absent_is_negative: bool
) -> Feedback:
    """Compare outcomes. ``rows`` are drawn rows with ``unit``, ``held``, ``share`` and ``decision_us``."""
    frame = rows.join(labels, on=ROW, how="left")
    if absent_is_negative:
        frame = silence_as_negative(frame, horizon_us)
    low, high = bounds
    known = frame.filter(by_horizon(horizon_us)).with_columns(
        value=(pl.col("value").cast(pl.Float64).clip(low, high) - low) / (high - low)
    )
    units = (
        known.sort(["decision_us", *ROW])
        .group_by("unit", maintain_order=True)
        .agg(pl.col("held", "share").first(), pl.col("value").mean())
    )
    held = units["held"].to_numpy().astype(bool)
    values = units["value"].to_numpy().astype(np.float64)
    share = float(rows["share"].max() or 0.0) if rows.height else 0.0  # type: ignore[arg-type]
    scale = high - low
    ours, theirs = (float(values[side].mean()) * scale + low if side.any() else None for side in (held, ~held))
    counts = int(held.sum()), int((~held).sum())
    if not all(counts):
        return Feedback(share, *counts, ours, theirs, words="one side has no mature unit yet")
    propensity = 1.0 - units["share"].to_numpy().astype(np.float64)
    foreseen, _ = running_means(~held, values, (0, 0.0, 0, 0.0), 0.5, 1.0)
    w, x, v = drawn_terms(~held, propensity, values, foreseen)
    below, above = interval(float(w.sum()), float(x.sum()), float(v.sum()), 1.0, ALPHA)
    words = "releases change outcomes" if below > 0 or above < 0 else "no feedback is proven"
    difference = float(x.sum() / w.sum()) * scale
    return Feedback(share, *counts, ours, theirs, difference, below * scale, above * scale, words)
