"""Rows that a version may have been fitted on: whatever it says of them today flatters it.

Where its making kept what the same recipe said when it was fitted without them, that is taken; else they are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mainspring.kernel.duration import HOUR_US
from mainspring.kernel.values import from_plain
from mainspring.registry.version import Lineage
from mainspring.release.rehearsal.deck import NEVER_US, Bools

APART_US = HOUR_US  # a case that is asked about somewhat earlier or later is the same case, with much the same features


def learnt(
    rows: pl.DataFrame,
    came: pl.DataFrame,
    lineage: Lineage,
    held_out: pl.DataFrame | None,
    silence_us: int | None = None,
) -> Bools:
    """Tell which rows (n,) a version may have been fitted on, or lie among such; ``came`` was known at the training.

    Before any was held out those are all that were decided in its time: were only the ones left whose outcome came
    too late for the training, the outcome would choose. From then on they are those whose outcome was known, and where
    silence of ``silence_us`` is an outcome, too, those that had been silent for so long.
    """
    if lineage.trained_until_us is None:
        return np.zeros(rows.height, dtype=np.bool_)
    held_us = NEVER_US if held_out is None or held_out.is_empty() else int(held_out["at_us"].to_numpy().min())
    known = rows.select("entity", "decision_us").join(
        came.select("entity", "known_us"), on="entity", how="left", maintain_order="left"
    )
    since, by = lineage.trained_from_us or 0, lineage.trained_until_us
    used = (pl.col("decision_us") < held_us) | (pl.col("known_us") <= by).fill_null(value=False)
    if silence_us is not None:
        used |= pl.col("decision_us") + silence_us <= by
    return known.select(pl.col("decision_us").is_between(since, by) & used).to_series().to_numpy().astype(np.bool_)


def unfitted(rows: pl.DataFrame, held_out: pl.DataFrame | None) -> list[float | None]:
    """Return what the same recipe said of each row when it was fitted without it; None where that was not kept."""
    if held_out is None or held_out.is_empty():
        return [None] * rows.height
    asked = rows.select("entity", at_us="decision_us").with_row_index("place").sort("at_us")
    kept = held_out.select("entity", "score", at_us=pl.col("at_us").cast(pl.Int64)).sort("at_us")
    met = asked.join_asof(kept, on="at_us", by="entity", strategy="nearest", tolerance=APART_US, check_sortedness=False)
    found: list[Any] = met.sort("place")["score"].to_list()
    return [None if one is None else from_plain(one) for one in found]
