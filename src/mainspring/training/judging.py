"""The worker's side of taking in a version that was made elsewhere: its answers on rows whose outcomes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from mainspring.checks.measures import measure
from mainspring.features.frame import training_frame
from mainspring.kernel.errors import InvalidInput, MainspringError
from mainspring.kernel.schema import Kind
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute
from mainspring.training.asked import answers_of, serving_rows
from mainspring.training.held_out import champion_scores, write_held_out
from mainspring.training.inputs import truth_of
from mainspring.training.order import JudgeManifest, JudgeOrder
from mainspring.training.ports import Asking, Run, Unfit
from mainspring.training.runtime import p999_ms
from mainspring.training.split import split
from mainspring.training.worker import plain

_BLANK: dict[Kind, Any] = {"str": "", "float": 0.0, "int": 0, "bool": False, "time": 0}


def judge(spec: dict[str, Any], staging: Path, asking: Asking) -> dict[str, Any]:
    """Ask the version of an order; return a ``JudgeManifest`` as plain data.

    A version that cannot be started, or that answers in a form that cannot be served, is refused. One that raises or
    answers no number on some row is not: it has no held-out answers then, and the reason is kept.
    """
    order = msgspec.convert(spec, JudgeOrder)
    with asking(order.version, order.folders) as run:
        try:
            rows = _held_out(order)
            if rows is None:
                return plain(_tried(run, order.version))
            return plain(_judged(order, run, rows, staging, asking))
        except Unfit:
            raise
        except MainspringError as error:
            return plain(JudgeManifest(reason=error.sentence()))


def _judged(order: JudgeOrder, run: Run, rows: pl.DataFrame, staging: Path, asking: Asking) -> JudgeManifest:
    signature = order.version.signature
    scores = answers_of(run, rows, signature, "version")
    one = serving_rows(rows.head(1), signature)
    champion, compared = champion_scores(order.champion, order.folders, rows, signature, asking)
    return JudgeManifest(
        held_out=write_held_out(rows, signature, scores, champion, order.champion, staging),
        rows=rows.height,
        metrics=measure(signature.task, truth_of(rows, signature), scores),
        champion=compared,
        p999_ms=p999_ms(lambda: run(one)),
    )


def _tried(run: Run, version: VersionRoute) -> JudgeManifest:
    """Ask about a row without content: what a model cannot be told from its answer is whether it serves at all."""
    row: Row = tuple(_BLANK[column.kind] for column in version.signature.inputs)
    run([row])
    return JudgeManifest(p999_ms=p999_ms(lambda: run([row])), reason="there are no rows with outcomes to judge by")


def _held_out(order: JudgeOrder) -> pl.DataFrame | None:
    """Return the rows that the recipe would hold out, or None where there are too few to hold some out."""
    if order.frame is None or order.recipe is None:
        return None
    rows = training_frame(order.frame).sort("at_us", "entity")
    if rows.is_empty():
        return None
    try:
        return split(rows, order.recipe, f"{order.version.number}").held_out
    except InvalidInput:
        return None
