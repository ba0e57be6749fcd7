"""The worker's side of training: frame, split, trainer, held-out answers, champion on the same rows, package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import credit
from mainspring.checks.measures import measure
from mainspring.features.frame import training_frame
from mainspring.kernel.errors import InvalidInput, MainspringError, WorkerFailed
from mainspring.kernel.ids import digest
from mainspring.kernel.schema import Signature
from mainspring.registry.environment import capture
from mainspring.registry.model import Recipe
from mainspring.registry.version import Environment
from mainspring.training.asked import answers_of
from mainspring.training.backtest import ANSWERS, FEWEST_SEGMENT_ROWS, Origin, origins_between
from mainspring.training.environment import environment_of
from mainspring.training.held_out import aligned, champion_scores, write_held_out
from mainspring.training.inputs import BoundSpec, labels_of, model_frame, signature_of, truth_of, with_classes
from mainspring.training.order import BacktestManifest, BacktestOrder, TrainManifest, TrainOrder
from mainspring.training.package import Packed, pack_estimator, pack_rule
from mainspring.training.ports import Asking, Run
from mainspring.training.progress import Progress
from mainspring.training.provenance import git_state
from mainspring.training.spec import window_us
from mainspring.training.split import Split, split
from mainspring.training.usercode import Fitted, Floats, fit, materialise


def train(spec: dict[str, Any], staging: Path, asking: Asking) -> dict[str, Any]:
    """Make one version as the order in ``spec`` says; return a ``TrainManifest`` as plain data."""
    order = msgspec.convert(spec, TrainOrder)
    progress, place = Progress(staging), f"{order.model.name}.{order.recipe.name}"
    before = set(sys.modules)
    materialise(order.code, staging / "code")
    progress.say(0.05, "building the training frame")
    rows = _rows(order, place)
    signature = with_classes(signature_of(order.model, order.recipe, _bound(order)), rows, place)
    parts = split(rows, order.recipe, place)
    progress.say(0.25, f"fitting on {parts.fit.height} rows")
    candidate = _fit(order.recipe, parts.fit, signature, place)
    scores = candidate.scores(model_frame(parts.held_out, signature))
    progress.say(0.5, f"judging on {parts.held_out.height} held-out rows")
    champion, compared = champion_scores(order.champion, order.folders, parts.held_out, signature, asking)
    held_out = write_held_out(parts.held_out, signature, scores, champion, order.champion, staging)
    registered = candidate
    if order.recipe.kind == "trainer" and order.recipe.refit:
        progress.say(0.6, f"fitting on all {rows.height} rows")
        registered = _fit(order.recipe, rows, signature, place)
    if order.recipe.deterministic and order.recipe.kind == "trainer":
        progress.say(0.7, "fitting again: it is declared deterministic")
        _demand_same(candidate, _fit(order.recipe, parts.fit, signature, place), parts.held_out, signature, place)
    progress.say(0.8, "packing")
    packed = _pack(order, registered, signature, model_frame(parts.held_out, signature), staging)
    measured = measure(order.model.task, truth_of(parts.held_out, signature), scores)
    manifest = _manifest(order, packed, signature, rows, parts)
    manifest = msgspec.structs.replace(
        manifest,
        environment=_environment(order.recipe, registered, before),
        metrics=measured,
        held_out=held_out,
        champion=compared,
    )
    progress.say(1.0, "made")
    return plain(manifest)


def backtest(spec: dict[str, Any], staging: Path, asking: Asking) -> dict[str, Any]:
    """Fit at some origins on what was known by then, and answer what followed beside the champion."""
    order = msgspec.convert(spec, BacktestOrder)
    progress, place = Progress(staging), f"{order.model.name}.{order.recipe.name}"
    materialise(order.code, staging / "code")
    rows = training_frame(order.frame).sort("at_us", "entity")
    signature = with_classes(signature_of(order.model, order.recipe, _bound(order)), rows, place)
    start_us = max(order.until_us - order.span_us, order.champion.trained_until_us or 0)
    segments = origins_between(start_us, order.until_us, order.origins)
    origins, answered = [], [pl.DataFrame(schema=ANSWERS)]
    with asking(order.champion.version, order.folders) as champion:
        for done, number in enumerate(order.turns):
            progress.say(done / len(order.turns), f"origin {number + 1} of {order.origins}")
            at_us, next_us = segments[number]
            test = rows.filter((pl.col("at_us") > at_us) & (pl.col("at_us") <= next_us))
            past = _known_by(rows, order.recipe, at_us)
            try:
                scores = _segment_scores(order.recipe, past, test, signature, place)
            except MainspringError as error:
                origins.append(Origin(at_us, past.height, test.height, reason=error.sentence()))
                continue
            origins.append(Origin(at_us, past.height, test.height))
            answered.append(_answers(order, number, test, signature, scores, champion))
    path = staging / "answers.parquet"
    pl.concat(answered).write_parquet(path)
    return plain(BacktestManifest(tuple(origins), str(path)))


def _answers(
    order: BacktestOrder, number: int, test: pl.DataFrame, signature: Signature, scores: Floats, champion: Run
) -> pl.DataFrame:
    version = order.champion.version
    try:
        theirs = aligned(
            answers_of(champion, test, version.signature, "champion"), version.signature.classes, signature.classes
        )
    except MainspringError as error:
        what = f"cannot be compared with: {error.sentence()}"
        raise InvalidInput(what, field="champion", value=version.number) from error
    label = truth_of(test, signature)
    if scores.ndim == 2:
        came = label.astype(np.int64)
        scores, theirs, label = credit("log_loss", scores, came), credit("log_loss", theirs, came), np.ones_like(label)
    return test.select(
        pl.lit(number).alias("origin"), "at_us", pl.Series("label", label),
        pl.Series("retrained", scores), pl.Series("champion", theirs),
    ).cast(ANSWERS)  # type: ignore[arg-type]  # fmt: skip


def frame_digest(rows: pl.DataFrame) -> str:
    """Return the digest of a frame's values: the snapshot that a version was fitted on."""
    import io

    buffer = io.BytesIO()
    rows.rechunk().write_ipc(buffer)
    return digest(buffer.getbuffer())


def plain(value: Any) -> dict[str, Any]:
    """Return a Struct as plain data."""
    made: dict[str, Any] = msgspec.to_builtins(value)
    return made


def _rows(order: TrainOrder, place: str) -> pl.DataFrame:
    rows = training_frame(order.frame).sort("at_us", "entity")
    if rows.is_empty():
        raise InvalidInput(
            "the training window holds no row with a known outcome",
            field=f"{place}.window",
            value=order.recipe.window,
            remedy="widen it, ingest older data, or wait for outcomes",
        )
    return rows


def _bound(order: TrainOrder | BacktestOrder) -> list[BoundSpec]:
    return [BoundSpec(bound.view, bound.source) for bound in order.frame.bound(order.recipe.features)]


def _fit(recipe: Recipe, rows: pl.DataFrame, signature: Signature, place: str) -> Fitted:
    return fit(recipe, model_frame(rows, signature), labels_of(rows, signature), signature, place)


def _demand_same(one: Fitted, other: Fitted, rows: pl.DataFrame, signature: Signature, place: str) -> None:
    inputs = model_frame(rows, signature)
    apart = np.abs(one.scores(inputs) - other.scores(inputs))
    if apart.any():
        raise WorkerFailed(
            f"is declared deterministic and gave two models, whose answers differ by up to {apart.max():.3g}",
            field=place,
            remedy="seed everything that it draws from, or take deterministic away",
        )


def _pack(order: TrainOrder, made: Fitted, signature: Signature, inputs: pl.DataFrame, staging: Path) -> Packed:
    if order.recipe.kind == "rule":
        return pack_rule(made.made, order.recipe, inputs, order.code, staging)
    return pack_estimator(made.made, signature, inputs, staging, threshold=order.model.threshold, code=order.code)


def _manifest(
    order: TrainOrder, packed: Packed, signature: Signature, rows: pl.DataFrame, parts: Split
) -> TrainManifest:
    commit, dirty = git_state(Path(order.root) if order.root else None)
    counted = {"fitted": parts.fit.height, "held_out": parts.held_out.height, "dropped": parts.dropped}
    return TrainManifest(
        runtime=packed.runtime,
        files=packed.files,
        signature=signature,
        frame_digest=frame_digest(rows),
        rows={**counted, "all": rows.height},
        from_us=int(rows.get_column("at_us").min()),  # type: ignore[arg-type]
        until_us=int(rows.get_column("known_us").max()),  # type: ignore[arg-type]
        parity=packed.parity,
        plain_graph=packed.plain_graph,
        p999_ms=packed.p999_ms,
        commit=commit,
        dirty=dirty,
    )


def _environment(recipe: Recipe, made: Fitted, before: set[str]) -> Environment:
    if recipe.kind == "rule":
        return capture((set(sys.modules) - before) | {recipe.frame})
    return environment_of(made.made)


def _known_by(rows: pl.DataFrame, recipe: Recipe, at_us: int) -> pl.DataFrame:
    window = window_us(recipe.window)
    known = rows.filter(pl.col("known_us") <= at_us)
    return known if window is None else known.filter(pl.col("at_us") > at_us - window)


def _segment_scores(recipe: Recipe, past: pl.DataFrame, test: pl.DataFrame, signature: Signature, place: str) -> Floats:
    if min(past.height, test.height) < FEWEST_SEGMENT_ROWS:
        raise InvalidInput(f"only {past.height} rows before and {test.height} after this origin", field=place)
    return _fit(recipe, past, signature, place).scores(model_frame(test, signature))
