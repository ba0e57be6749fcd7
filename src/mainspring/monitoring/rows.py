"""What monitors read from the log, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mainspring.kernel.schema import Column
from mainspring.log.queries import PredictionLog
from mainspring.monitoring.health import Counts
from mainspring.monitoring.quality import Window

ANSWERED = "answered class"
MOST_ROWS = 20_000  # of one drift window; more change a summary by less than its own noise


def windows(through_us: int, until_us: int, span_us: int) -> Iterator[tuple[int, int]]:
    """Return the whole windows between two moments.

    >>> list(windows(0, 25, 10))
    [(0, 10), (10, 20)]
    """
    start = through_us
    while start + span_us <= until_us:
        yield start, start + span_us
        start += span_us


def first_window_us(first_us: int, span_us: int) -> int:
    """Return the start of the first whole window at or after ``first_us``.

    >>> first_window_us(11, 10), first_window_us(20, 10)
    (20, 20)
    """
    return -(-first_us // span_us) * span_us


def inputs(
    log: PredictionLog, model: str, columns: Sequence[Column], since_us: int, until_us: int
) -> dict[str, list[Any]]:
    """Return the request columns of a window's rows; times are left out."""
    watched = [column for column in columns if column.kind != "time"]
    asked = log.requests(model, since_us=since_us, until_us=until_us)
    requests = thin(asked.filter(pl.col("body") != ""))  # an erased request says nothing
    decode = msgspec.json.Decoder()
    bodies = [decode.decode(body) for body in requests["body"]]
    return {column.name: [body.get(column.name) for body in bodies] for column in watched}


def looked_up(
    log: PredictionLog, model: str, names: Mapping[str, tuple[str, Sequence[str]]], since_us: int, until_us: int
) -> dict[str, list[Any]]:
    """Return the looked-up features of a window's served rows as ``view.feature``.

    ``names`` maps a view's digest to its name and the names of its features.
    """
    scored = log.scored(model, roles=["served"], since_us=since_us, until_us=until_us, features=True)
    decode = msgspec.json.Decoder()
    rows = [decode.decode(text) if text else {} for text in thin(scored)["features"]]
    columns: dict[str, list[Any]] = {}
    for n, row in enumerate(rows):
        for values, _known_us, digest in row.values():
            view, features = names.get(digest, ("", ()))
            for feature, value in zip(features, values or (), strict=False):
                columns.setdefault(f"{view}.{feature}", [None] * len(rows))[n] = value
    return columns


def answered(log: PredictionLog, model: str, since_us: int, until_us: int) -> dict[str, list[Any]]:
    """Return the classes that a window's served rows were answered, under ``ANSWERED``."""
    scored = log.scored(model, roles=["served", "fallback"], since_us=since_us, until_us=until_us)
    said = thin(scored.filter(pl.col("vector").is_not_null()))
    picked = said.select(pl.col("parts").list.get(pl.col("vector").list.arg_max())).to_series()
    return {ANSWERED: picked.to_list()}


def thin(frame: pl.DataFrame) -> pl.DataFrame:
    """Return every k-th row so that at most ``MOST_ROWS`` are left."""
    return frame.gather_every(-(-frame.height // MOST_ROWS)) if frame.height > MOST_ROWS else frame


def matured(labelled: pl.DataFrame, champion: str, anchor: str, *, absent_is_negative: bool) -> Window:
    """Return one window's matured rows of the champion, paired with the anchor's where both scored the row."""
    keys = ["prediction_id", "row"]
    answered = labelled.filter((pl.col("status") == "ok") & pl.col("output").is_not_null())
    one_each = answered.unique([*keys, "version"], keep="first", maintain_order=True)
    mine = one_each.filter(pl.col("version") == champion)
    other = one_each.filter(pl.col("version") == anchor).select(*keys, pl.col("output").alias("_anchor"))
    if absent_is_negative:
        mine = mine.with_columns(pl.col("value").fill_null(0.0))
    labelled_rows = mine.filter(pl.col("value").is_not_null()).join(other, on=keys, how="left", maintain_order="left")
    return Window(
        rows=mine.height,
        outcome=_floats(labelled_rows["value"]),
        answer=_floats(labelled_rows["output"]),
        anchor=_floats(labelled_rows["_anchor"]),
        classes=tuple(labelled_rows["label"].drop_nulls()) if "label" in labelled_rows.columns else (),
    )


def counts(log: PredictionLog, model: str, due: Sequence[tuple[int, int]], *, slow_us: float) -> list[Counts]:
    """Return how the rows of adjacent windows were answered. A row that nothing answered has failed."""
    since_us, until_us, span_us = due[0][0], due[-1][1], due[0][1] - due[0][0]
    asked = log.requests(model, since_us=since_us, until_us=until_us)
    scored = log.scored(model, since_us=since_us, until_us=until_us).filter(pl.col("role") != "shadow")
    ok = pl.col("status") == "ok"
    window = (pl.col("decision_us") - since_us) // span_us
    answers = scored.group_by("prediction_id", "row").agg(
        window=window.first(),
        answered=ok.any(),
        fallback=((pl.col("role") == "fallback") & ok).any(),
        slow=(pl.col("latency_us") > slow_us).any(),
    )
    by_window = answers.group_by("window").agg(pl.len(), pl.col("answered", "fallback", "slow").sum())
    found = {row["window"]: row for row in by_window.iter_rows(named=True)}
    rows = dict(asked.group_by(window.alias("window")).len().iter_rows())
    return [_counts(rows.get(n, 0), found.get(n, _NOTHING)) for n in range(len(due))]


_NOTHING = {"len": 0, "answered": 0, "fallback": 0, "slow": 0}


def _counts(asked: int, found: Mapping[str, int]) -> Counts:
    rows = max(asked, found["len"])
    return Counts(rows=rows, failed=rows - found["answered"], fallback=found["fallback"], slow=found["slow"])


def _floats(column: pl.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
