"""What could be had without care: the recipe fitted anew each month on all the past, and put live at once, unseen.

The play reports how much of that gain careful releases keep, so that the cost of being careful is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from mainspring.edges.demo.script import MODEL, START
from mainspring.features.frame import training_frame
from mainspring.kernel.clock import to_us
from mainspring.platform import Platform
from mainspring.training.inputs import model_frame
from mainspring.training.usercode import fit


def careless_answers(platform: Platform, months: Sequence[int]) -> pl.DataFrame:
    """Return ``entity, careless``: for each flight of the months, the answer of a model fitted as its month began.

    The recipe's function is imported here, from the home's copy of the example: this is the player's own process.
    """
    code = str(platform.home.root / "flights")
    if code not in sys.path:
        sys.path.insert(0, code)
    model = platform.registry.model(None, MODEL)
    spec = model.declared()
    recipe = spec.recipe() or spec.recipes[0]
    frame = platform.features.frame(spec, recipe, model.project, until_us=platform.clock.now_us())
    rows = training_frame(frame).sort("at_us", "entity")
    signature = platform.registry.by_number(model.id, 1).signature
    answered = []
    for month in months:
        begins, ends = _begins(month), _begins(month + 1)
        past = rows.filter(pl.col("known_us") <= to_us(begins))
        asked = rows.filter((pl.col("at_us") > to_us(begins)) & (pl.col("at_us") <= to_us(ends)))
        label = past.get_column("label").cast(pl.Int64)
        fitted = fit(recipe, model_frame(past, signature), label, signature, "careless")
        scores = fitted.scores(model_frame(asked, signature))
        answered.append(asked.select("entity", pl.Series("careless", scores)))
    return pl.concat(answered)


def _begins(month: int) -> datetime:
    if month == START.month:
        return START
    return datetime(2014, 1, 1, 5, tzinfo=UTC) if month > 12 else datetime(2013, month, 1, 5, tzinfo=UTC)
