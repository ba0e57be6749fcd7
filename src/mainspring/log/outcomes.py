"""What came true, as it stood at some moment."""

from __future__ import annotations

import polars as pl


def newest_revisions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row an entity: ``entity, value, event_us, known_us, revision, label``, the newest one.

    ``rows`` are in the order in which they came. They are ordered by the moment they were known, then by that order; a
    row that repeats value, label and event time before it changes nothing, any other is a new revision (1, 2, …).
    """
    ordered = rows.sort("entity", "known_us", maintain_order=True)
    same = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in ("entity", "value", "label", "event_us")]
    changed = ordered.filter(~pl.all_horizontal(same))
    return changed.group_by("entity", maintain_order=True).agg(
        pl.col("value").last(),
        pl.col("event_us").last(),
        pl.col("known_us").last(),
        pl.len().cast(pl.Int32).alias("revision"),
        pl.col("label").last(),
    )
