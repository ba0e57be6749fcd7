"""Which rows a candidate is fitted on and which it is judged on."""

from __future__ import annotations

import numpy as np
import polars as pl

from mainspring.kernel.errors import InvalidInput
from mainspring.registry.model import Recipe

FEWEST_ROWS = 20


class Split:
    """Two disjoint frames in the order of prediction time; ``dropped`` rows belong to neither."""

    def __init__(self, fit: pl.DataFrame, held_out: pl.DataFrame, dropped: int) -> None:
        self.fit = fit
        self.held_out = held_out
        self.dropped = dropped


def split(rows: pl.DataFrame, recipe: Recipe, place: str) -> Split:
    """Hold rows out: the newest by default, a seeded draw for ``random``, whole groups for ``grouped``.

    By time, a fitting row whose outcome was not known yet when the held-out part begins is dropped.
    """
    ordered = rows.sort("at_us", "entity")
    if not 0 < recipe.holdout_share < 1:
        raise InvalidInput("must lie between 0 and 1", field=f"{place}.holdout_share", value=recipe.holdout_share)
    if recipe.split == "time":
        made = _by_time(ordered, recipe.holdout_share)
    elif recipe.split == "random":
        made = _by_mask(ordered, _drawn(ordered.height, recipe))
    else:
        made = _by_mask(ordered, _grouped(ordered, recipe, place))
    if min(made.fit.height, made.held_out.height) < FEWEST_ROWS:
        raise InvalidInput(
            f"leaves {made.fit.height} rows to fit on and {made.held_out.height} to judge by",
            field=f"{place}.window",
            value=recipe.window,
            remedy=f"each part needs {FEWEST_ROWS}: widen the window or wait for more outcomes",
        )
    return made


def _by_time(ordered: pl.DataFrame, share: float) -> Split:
    if ordered.is_empty():
        return Split(ordered, ordered, 0)
    begins_us = ordered.get_column("at_us")[min(round(ordered.height * (1 - share)), ordered.height - 1)]
    held_out = ordered.filter(pl.col("at_us") >= begins_us)
    fit = ordered.filter((pl.col("at_us") < begins_us) & (pl.col("known_us") <= begins_us))
    return Split(fit, held_out, ordered.height - fit.height - held_out.height)


def _by_mask(ordered: pl.DataFrame, held: np.typing.NDArray[np.bool_]) -> Split:
    mask = pl.Series(held)
    return Split(ordered.filter(~mask), ordered.filter(mask), 0)


def _drawn(height: int, recipe: Recipe) -> np.typing.NDArray[np.bool_]:
    held = np.zeros(height, dtype=bool)
    chosen = np.random.default_rng(recipe.seed).permutation(height)[: round(height * recipe.holdout_share)]
    held[chosen] = True
    return held


def _grouped(ordered: pl.DataFrame, recipe: Recipe, place: str) -> np.typing.NDArray[np.bool_]:
    if recipe.group is None or recipe.group not in ordered.columns:
        raise InvalidInput(
            "a grouped split needs a column of the frame",
            field=f"{place}.group",
            value=recipe.group,
            remedy=f"one of: {', '.join(sorted(ordered.columns))}",
        )
    groups = ordered.get_column(recipe.group)
    names = groups.unique().sort().to_list()
    order = np.random.default_rng(recipe.seed).permutation(len(names))
    held = {names[place] for place in order[: max(1, round(len(names) * recipe.holdout_share))]}
    return groups.is_in(list(held)).fill_null(value=None in held).to_numpy().astype(bool)
