"""Held-out answers: a version's and the champion's on the same rows, as checks judge by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.schema import Label, Signature
from mainspring.training.asked import answers_of
from mainspring.training.inputs import model_frame, truth_of
from mainspring.training.order import ChampionOrder
from mainspring.training.ports import Asking, Folders
from mainspring.training.usercode import Floats


def write_held_out(
    rows: pl.DataFrame,
    signature: Signature,
    scores: Floats,
    theirs: Floats | None,
    champion: ChampionOrder | None,
    staging: Path,
) -> str:
    """Write what checks judge by: held-out rows with their labels, both versions' answers, and the inputs."""
    inputs = model_frame(rows, signature)
    label = pl.Series("label", truth_of(rows, signature))
    frame = rows.select("entity", "at_us", "known_us", label).with_columns(
        _column("score", scores, scores),
        _column("champion_score", theirs, scores),
        _seen(champion),
        *(inputs.get_column(name).alias(f"input.{name}") for name in inputs.columns),
    )
    path = staging / "held_out.parquet"
    frame.write_parquet(path, compression="zstd")
    return str(path)


def champion_scores(
    champion: ChampionOrder | None, folders: Folders, rows: pl.DataFrame, signature: Signature, asking: Asking
) -> tuple[Floats | None, dict[str, Any]]:
    """Return the champion's answers on the same rows with its number, or None and why there are none.

    Classes are in the order of ``signature``, which is the other version's.
    """
    if champion is None:
        return None, {"reason": "there is no champion yet"}
    version = champion.version
    missing = [name for name in _columns(version.signature) if name not in rows.columns]
    if missing:
        return None, {"number": version.number, "reason": f"the frame lacks {', '.join(missing)}"}
    try:
        with asking(version, folders) as run:
            scores = answers_of(run, rows, version.signature, "champion")
        return aligned(scores, version.signature.classes, signature.classes), {"number": version.number}
    except MainspringError as error:
        return None, {"number": version.number, "reason": f"the champion could not answer: {error.sentence()}"}


def aligned(scores: Floats, classes: Sequence[Label], to: Sequence[Label]) -> Floats:
    """Return probabilities in the order of another version's classes; it gave none to those that it does not know."""
    if classes == to:
        return scores
    ordered = np.zeros((len(scores), len(to)))
    for place, label in enumerate(to):
        if label in classes:
            ordered[:, place] = scores[:, list(classes).index(label)]
    return ordered


def _column(name: str, scores: Floats | None, like: Floats) -> pl.Series:
    """Return scores as a column: numbers, or lists of numbers; nothing where there are none."""
    kind = pl.Float64() if like.ndim == 1 else pl.List(pl.Float64())
    if scores is None:
        return pl.Series(name, [None] * len(like), dtype=kind)
    return pl.Series(name, scores).cast(kind)


def _columns(signature: Signature) -> list[str]:
    return [signature.features.get(column.name, column.name) for column in signature.inputs]


def _seen(champion: ChampionOrder | None) -> pl.Expr:
    if champion is None or champion.trained_until_us is None:
        return pl.lit(value=False).alias("champion_seen")
    return (pl.col("known_us") <= champion.trained_until_us).alias("champion_seen")
