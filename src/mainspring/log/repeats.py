"""Requests that were sent again: who repeats one under its idempotency key is answered anew, and counted once."""

from __future__ import annotations

import polars as pl

from mainspring.kernel.duration import DAY_US

WINDOW_US = DAY_US  # a key that comes again later than that after it was last seen is another request
COLUMNS = ("prediction_id", "row", "model", "entity", "receipt_us", "caller", "idempotency_key")
ROW = ("prediction_id", "row")


def repeated(asked: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``asked`` (with ``COLUMNS``) that repeat one before: model, caller, key, place, entity.

    >>> asked = {"prediction_id": ["a", "b", "c"], "row": 0, "model": "m", "entity": ["x", "x", "y"], "caller": "shop"}
    >>> repeated(pl.DataFrame({**asked, "receipt_us": [1, 2, 3], "idempotency_key": "k"})).rows()
    [('b', 0)]
    """
    keyed = asked.filter(pl.col("idempotency_key") != "").sort(["receipt_us", *ROW])
    before_us = pl.col("receipt_us").shift(1).over(["model", "caller", "idempotency_key", "row", "entity"])
    return keyed.filter((pl.col("receipt_us") - before_us) <= WINDOW_US).select(ROW)
