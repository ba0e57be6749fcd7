"""Reading held-out answers."""

from __future__ import annotations

import polars as pl

from mainspring.checks.credit import Floats, matrix

MISSING = "there are no held-out answers to judge by"


def label_and_score(rows: pl.DataFrame, score: str = "score") -> tuple[Floats, Floats]:
    """Return labels and answers as arrays."""
    return rows.get_column("label").to_numpy(), matrix(rows.get_column(score))


def within(value: float, at_least: float | None, at_most: float | None) -> bool:
    """Say whether a value lies within limits of which either may be missing."""
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)


def show(at_least: float | None, at_most: float | None) -> str:
    """Return limits in words."""
    words = [f"at least {at_least:g}"] if at_least is not None else []
    return " and ".join([*words, *([f"at most {at_most:g}"] if at_most is not None else [])])
