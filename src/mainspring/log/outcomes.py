"""What came true, as it stood at some moment."""

from __future__ import annotations

import polars as pl


def newest_revisions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row an entity: ``entity, value, event_us, known_us, revision``, the newest one.

    ``rows`` are in the order in which they came. They are ordered by the moment they were known, then by that order; a
    row that repeats the value and event time before it changes nothing, any other is a new revision (1, 2, …).
    """
    ordered = rows.sort("known_us", maintain_order=True)
    previous = pl.struct("value", "event_us").shift(1).over("entity")
    changed = ordered.filter(
        (previous != pl.struct("value", "event_us")) | (pl.int_range(pl.len()).over("entity") == 0)
    )
    return changed.group_by("entity", maintain_order=True).agg(
        pl.col("value").last(),
        pl.col("event_us").last(),
        pl.col("known_us").last(),
        pl.len().cast(pl.Int32).alias("revision"),
    )
