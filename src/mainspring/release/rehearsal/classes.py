"""Class vectors on the way into a deck: each answer becomes its credit against the class that came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mainspring.checks.credit import Floats, credit, credited, places
from mainspring.kernel.values import Vector
from mainspring.release.evidence.frames import ROW


def credited_rows(scored: pl.DataFrame, rows: pl.DataFrame, came: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return scored rows credited by what came true; those of models that answer one number as they are."""
    if not scored["vector"].is_not_null().any():
        return scored
    labels = rows.select(*ROW, "entity").join(came.select("entity", "label"), on="entity", how="left")
    joined = scored.join(labels.select(*ROW, "label"), on=ROW, how="left", maintain_order="left")
    return credited(joined.with_columns(value=pl.lit(None, pl.Float64())), metric)


def labels_of(rows: pl.DataFrame, came: pl.DataFrame) -> list[str | None]:
    """Return the class that came true of each row, where the outcome is one."""
    joined = rows.select("entity").join(came.select("entity", "label"), on="entity", how="left", maintain_order="left")
    return joined["label"].to_list()


def credits_of(answers: Sequence[Any], labels: Sequence[str | None], parts: Sequence[str], metric: str) -> Floats:
    """Return recomputed answers as numbers (n,): a class vector's credit where the class that came true is known.

    What is not a number stays so: it is a failure.
    """
    values = np.array([np.nan if one is None else one for one in answers], dtype=np.float64)
    pairs = zip(answers, labels, values, strict=True)
    at = [
        place
        for place, (said, label, value) in enumerate(pairs)
        if isinstance(said, Vector) and label is not None and np.isfinite(value)
    ]
    if at:
        vectors = np.array([answers[place].numbers for place in at], dtype=np.float64)
        values[at] = credit(metric, vectors, places([labels[place] for place in at], parts))
    return values
