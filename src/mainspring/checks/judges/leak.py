"""Is it too good to be true? Then an input probably knows what could not be known at the moment of prediction."""

from __future__ import annotations

import numpy as np
import polars as pl

from mainspring.checks.judges.held_out import MISSING, label_and_score
from mainspring.checks.measures import Floats, r2, roc_auc
from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import TooGoodToBeTrue
from mainspring.kernel.schema import Task


def judge(check: TooGoodToBeTrue, candidate: Candidate) -> Finding:
    """Look at the strongest single input, the score overall, and the jump over the champion on the same rows."""
    if candidate.held_out is None or candidate.held_out.is_empty():
        return Finding("inconclusive", MISSING)
    rows, task = candidate.held_out, candidate.version.signature.task
    label, score = label_and_score(rows)
    quality = r2 if task == "regression" else roc_auc
    overall = quality(label, score)
    strongest, strength = _strongest(rows, label, task)
    jump = _jump(rows, task)
    numbers = {
        "overall": overall,
        "strongest_input": strongest,
        "strength": strength,
        "jump": jump,
        "limits": {"overall": check.overall, "single_feature": check.single_feature, "jump": check.jump},
        "rows": rows.height,
    }
    signs = []
    if strength is not None and strength >= check.single_feature:
        signs.append(f"{strongest} alone nearly tells the outcome ({strength:.3f})")
    if overall is not None and overall >= check.overall:
        signs.append(f"its quality is {overall:.3f}")
    if jump is not None and jump >= check.jump:
        signs.append(f"it is better than the champion by {jump:.3f} at once")
    if signs:
        return Finding("failed", f"{'; '.join(signs)}: does an input know the future?", numbers)
    return Finding("passed", "nothing looks like a leak", numbers)


def _jump(rows: pl.DataFrame, task: Task) -> float | None:
    if "champion_score" not in rows.columns:
        return None
    both = rows.filter(pl.col("champion_score").is_not_null())
    if both.is_empty():
        return None
    quality = r2 if task == "regression" else roc_auc
    ours, theirs = quality(*label_and_score(both)), quality(*label_and_score(both, "champion_score"))
    return None if ours is None or theirs is None else ours - theirs


def _strongest(rows: pl.DataFrame, label: Floats, task: Task) -> tuple[str | None, float | None]:
    best: tuple[str | None, float | None] = (None, None)
    for name in rows.columns:
        if not name.startswith("input."):
            continue
        column = rows.get_column(name)
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            continue
        kept = column.is_not_null().to_numpy()
        if kept.sum() < 50:
            continue
        strength = _strength(label[kept], column.drop_nulls().cast(pl.Float64).to_numpy(), task)
        if strength is not None and (best[1] is None or strength > best[1]):
            best = (name.removeprefix("input."), strength)
    return best


def _strength(label: Floats, values: Floats, task: Task) -> float | None:
    if not np.isfinite(values).all():
        return None
    if task != "regression":
        came = [label] if task == "binary" else [(label == one).astype(np.float64) for one in np.unique(label)]
        areas = [area for one in came if (area := roc_auc(one, values)) is not None]
        return max((max(area, 1 - area) for area in areas), default=None)
    if values.std() == 0 or label.std() == 0:
        return None
    ranks = pl.DataFrame({"a": label, "b": values}).select(pl.corr("a", "b", method="spearman")).item()
    return abs(float(ranks))
