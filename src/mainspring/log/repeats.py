"""Requests that were sent again: who repeats one under its idempotency key is answered anew, and counted once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mainspring.kernel.duration import DAY_US

WINDOW_US = DAY_US  # from the first attempt on; a key that comes later than that begins another call
BACKDATED_US = DAY_US  # so much older than its request may a decision time be that a caller states
COLUMNS = ("prediction_id", "row", "model", "entity", "receipt_us", "caller", "idempotency_key")
ROW = ("prediction_id", "row")
_CALL = ("model", "caller", "idempotency_key", "row", "what")


def repeated(asked: pl.DataFrame) -> pl.DataFrame:
    """Return rows of ``asked`` that repeat one of at most a day before: model, caller, key, place and entity are equal.

    ``asked`` has ``COLUMNS``, and ``body`` where models without an entity are among them: their rows are told by that.

    >>> asked = {"prediction_id": ["a", "b", "c"], "row": 0, "model": "m", "entity": ["x", "x", "y"], "caller": "shop"}
    >>> repeated(pl.DataFrame({**asked, "receipt_us": [1, 2, 3], "idempotency_key": "k"})).rows()
    [('b', 0)]
    """
    keyed = _calls(asked).sort(["receipt_us", *ROW])
    several = keyed.filter(pl.len().over(_CALL) > 1)
    calls = several.group_by(_CALL, maintain_order=True).agg("prediction_id", "receipt_us")
    again = [_again(moments) for moments in calls["receipt_us"].to_list()]
    told = calls.with_columns(pl.Series("again", again, pl.List(pl.Boolean)))
    return told.explode("prediction_id", "receipt_us", "again").filter("again").select(ROW)


def nameless(asked: pl.DataFrame) -> bool:
    """Tell whether rows with a key are of a model without an entity: those bear their prediction's own name."""
    return asked.filter(pl.col("idempotency_key") != "", _own_name()).height > 0


def may_have_begun_before(asked: pl.DataFrame, whole_from_us: int, since_us: int) -> bool:
    """Tell whether a call with attempts since a moment may have begun before that from which all of ``asked`` is known.

    Attempts follow one another within a day of the first, so the day before the first that is known must be known.
    """
    known = _calls(asked).filter(pl.col("receipt_us") >= whole_from_us)
    spans = known.group_by(_CALL).agg(pl.col("receipt_us").min().alias("first"), pl.col("receipt_us").max())
    return spans.filter(pl.col("receipt_us") >= since_us, pl.col("first") < whole_from_us + WINDOW_US).height > 0


def _calls(asked: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a key, and ``what`` was asked: the entity, or the row itself where there is none."""
    keyed = asked.filter(pl.col("idempotency_key") != "")
    body = pl.col("body") if "body" in asked.columns else pl.col("entity")
    return keyed.with_columns(what=pl.when(_own_name()).then(body).otherwise(pl.col("entity")))


def _own_name() -> pl.Expr:
    own = pl.col("prediction_id")
    return (pl.col("entity") == own) | (pl.col("entity") == pl.format("{}.{}", own, pl.col("row")))


def _again(moments: Sequence[int]) -> list[bool]:
    """Say of each attempt, in order, whether it repeats the first of its window.

    >>> _again([0, 20 * 3_600_000_000, 30 * 3_600_000_000])
    [False, True, False]
    """
    said, first_us = [], moments[0] - WINDOW_US - 1
    for moment in moments:
        said.append(moment - first_us <= WINDOW_US)
        first_us = first_us if said[-1] else moment
    return said
