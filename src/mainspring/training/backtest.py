"""Would retraining have helped? The same days, answered by the champion and by what would have replaced it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from mainspring.checks.measures import LOSSES, day_block_interval
from mainspring.kernel.duration import DAY_US
from mainspring.kernel.schema import Task

FEWEST_DAYS = 14
FEWEST_ROWS = 200
LEVEL = 0.90  # each verdict is one-sided: it errs in one case of twenty. A candidate has the release still before it.
FEWEST_SEGMENT_ROWS = 20
Verdict = Literal["helps", "does not help", "cannot tell"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Origin(msgspec.Struct, frozen=True):
    """One moment at which it would have been retrained, and how both fared until the next one."""

    at_us: int
    fitted_rows: int
    rows: int
    retrained_loss: float | None = None
    champion_loss: float | None = None
    reason: str = ""


class BacktestResult(msgspec.Struct, frozen=True):
    """Mean difference of loss, retrained minus champion: below zero is better. One-shot 90 % interval by day blocks."""

    verdict: Verdict
    reason: str
    metric: str
    origins: tuple[Origin, ...]
    rows: int = 0
    days: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    id: str = ""
    champion: str = ""
    recipe: str = ""
    retraining: str = ""  # for which it was asked, if for one


def loss_name(task: Task) -> str:
    """Return the loss by which a task's answers are compared."""
    return "squared_error" if task == "regression" else "log_loss"


def origins_between(start_us: int, until_us: int, count: int) -> list[tuple[int, int]]:
    """Return ``count`` segments (origin, next origin) of equal length, the first one step after the start.

    >>> origins_between(0, 70, 6)[0], origins_between(0, 70, 6)[-1]
    ((10, 20), (60, 70))
    """
    step = (until_us - start_us) // (count + 1)
    starts = [start_us + step * (one + 1) for one in range(count)]
    return list(zip(starts, [*starts[1:], until_us], strict=True))


ANSWERS = {
    "origin": pl.Int64, "at_us": pl.Int64, "label": pl.Float64, "retrained": pl.Float64, "champion": pl.Float64
}  # fmt: skip


def judge(task: Task, origins: Sequence[Origin], answers: pl.DataFrame) -> BacktestResult:
    """Compare both answers on all rows; ``answers`` has the columns of ``ANSWERS``, ``origin`` counting from 0."""
    metric = loss_name(task)
    loss = LOSSES[metric]
    label, at_us = answers["label"].to_numpy(), answers["at_us"].to_numpy()
    ours, theirs = (loss(label, answers[name].to_numpy()) for name in ("retrained", "champion"))
    told = _with_losses(origins, answers["origin"].to_numpy(), ours, theirs)
    found = day_block_interval(ours - theirs, at_us // DAY_US, LEVEL)
    if found is None:
        reason = f"{label.size} rows on fewer than 2 days can be compared"
        return BacktestResult("cannot tell", reason, metric, told, label.size)
    mean, low, high, days = found
    verdict, reason = _verdict(mean, low, high, days, label.size)
    return BacktestResult(verdict, reason, metric, told, label.size, days, mean, low, high)


def _with_losses(origins: Sequence[Origin], number: Ints, ours: Floats, theirs: Floats) -> tuple[Origin, ...]:
    told = []
    for place, origin in enumerate(origins):
        rows = number == place
        if rows.any():
            means = {"retrained_loss": float(ours[rows].mean()), "champion_loss": float(theirs[rows].mean())}
            origin = msgspec.structs.replace(origin, **means)  # noqa: PLW2901
        told.append(origin)
    return tuple(told)


def _verdict(mean: float, low: float, high: float, days: int, rows: int) -> tuple[Verdict, str]:
    numbers = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}] on {rows} rows of {days} days"
    if days < FEWEST_DAYS or rows < FEWEST_ROWS:
        return "cannot tell", f"{numbers}: fewer than {FEWEST_DAYS} days or {FEWEST_ROWS} rows"
    if high < 0:
        return "helps", f"retraining would have changed the loss by {numbers}"
    if low >= 0:
        return "does not help", f"retraining would have changed the loss by {numbers}"
    return "cannot tell", f"the change of the loss may be nothing: {numbers}"
