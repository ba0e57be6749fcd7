"""The worker's side of training: frame, split, trainer, held-out answers, champion on the same rows, package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from mainspring.kernel.schema import Label, Signature
from mainspring.registry.environment import capture
from mainspring.registry.model import Recipe
from mainspring.registry.version import Environment
from mainspring.training.backtest import ANSWERS, FEWEST_SEGMENT_ROWS, Origin, origins_between
from mainspring.training.environment import environment_of
from mainspring.training.inputs import BoundSpec, labels_of, model_frame, signature_of, truth_of, with_classes
from mainspring.training.order import BacktestManifest, BacktestOrder, ChampionOrder, TrainManifest, TrainOrder
from mainspring.training.package import Packed, pack_estimator, pack_rule
from mainspring.training.progress import Progress
from mainspring.training.provenance import git_state
from mainspring.training.runtime import score_package
from mainspring.training.spec import window_us
from mainspring.training.split import Split, split
from mainspring.training.usercode import Fitted, Floats, fit, materialise


def train(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
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
    held_out, compared = _held_out(order, parts, signature, scores, staging)
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


def backtest(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Fit at some origins on what was known by then, and answer what followed beside the champion."""
    order = msgspec.convert(spec, BacktestOrder)
    progress, place = Progress(staging), f"{order.model.name}.{order.recipe.name}"
    materialise(order.code, staging / "code")
    rows = training_frame(order.frame).sort("at_us", "entity")
    signature = with_classes(signature_of(order.model, order.recipe, _bound(order)), rows, place)
    start_us = max(order.until_us - order.span_us, order.champion.trained_until_us or 0)
    segments = origins_between(start_us, order.until_us, order.origins)
    origins, answered = [], [pl.DataFrame(schema=ANSWERS)]
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
        answered.append(_answers(order, number, test, signature, scores, staging))
    path = staging / "answers.parquet"
    pl.concat(answered).write_parquet(path)
    return plain(BacktestManifest(tuple(origins), str(path)))


def _answers(
    order: BacktestOrder, number: int, test: pl.DataFrame, signature: Signature, scores: Floats, staging: Path
) -> pl.DataFrame:
    champion, compared = _champion_scores(order.champion, test, signature, staging)
    if champion is None:
        raise InvalidInput(
            f"cannot be compared with: {compared['reason']}", field="champion", value=order.champion.number
        )
    label = truth_of(test, signature)
    if scores.ndim == 2:
        came = label.astype(np.int64)
        scores, champion, label = (
            credit("log_loss", scores, came),
            credit("log_loss", champion, came),
            np.ones_like(label),
        )
    return test.select(
        pl.lit(number).alias("origin"), "at_us", pl.Series("label", label),
        pl.Series("retrained", scores), pl.Series("champion", champion),
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


def _held_out(
    order: TrainOrder, parts: Split, signature: Signature, scores: Floats, staging: Path
) -> tuple[str, dict[str, Any]]:
    champion, compared = _champion_scores(order.champion, parts.held_out, signature, staging)
    inputs = model_frame(parts.held_out, signature)
    label = pl.Series("label", truth_of(parts.held_out, signature))
    frame = parts.held_out.select("entity", "at_us", "known_us", label).with_columns(
        _column("score", scores, scores),
        _column("champion_score", champion, scores),
        _seen(order.champion),
        *(inputs.get_column(name).alias(f"input.{name}") for name in inputs.columns),
    )
    path = staging / "held_out.parquet"
    frame.write_parquet(path, compression="zstd")
    return str(path), compared


def _column(name: str, scores: Floats | None, like: Floats) -> pl.Series:
    """Return scores as a column: numbers, or lists of numbers; nothing where there are none."""
    kind = pl.Float64() if like.ndim == 1 else pl.List(pl.Float64())
    if scores is None:
        return pl.Series(name, [None] * len(like), dtype=kind)
    return pl.Series(name, scores).cast(kind)


def _champion_scores(
    champion: ChampionOrder | None, rows: pl.DataFrame, signature: Signature, staging: Path
) -> tuple[Floats | None, dict[str, Any]]:
    if champion is None:
        return None, {"reason": "there is no champion yet"}
    needed = champion.package.signature
    missing = [name for name in _columns(needed) if name not in rows.columns]
    if missing:
        return None, {"number": champion.number, "reason": f"the frame lacks {', '.join(missing)}"}
    try:
        scores = score_package(champion.package, model_frame(rows, needed), staging)
        return aligned(scores, needed.classes, signature.classes), {"number": champion.number}
    except MainspringError as error:
        return None, {"number": champion.number, "reason": f"the champion could not answer: {error.sentence()}"}


def aligned(scores: Floats, classes: Sequence[Label], to: Sequence[Label]) -> Floats:
    """Return probabilities in the order of another version's classes; it gave none to those that it does not know."""
    if classes == to:
        return scores
    ordered = np.zeros((len(scores), len(to)))
    for place, label in enumerate(to):
        if label in classes:
            ordered[:, place] = scores[:, list(classes).index(label)]
    return ordered


def _columns(signature: Signature) -> list[str]:
    return [signature.features.get(column.name, column.name) for column in signature.inputs]


def _seen(champion: ChampionOrder | None) -> pl.Expr:
    if champion is None or champion.trained_until_us is None:
        return pl.lit(value=False).alias("champion_seen")
    return (pl.col("known_us") <= champion.trained_until_us).alias("champion_seen")


def _known_by(rows: pl.DataFrame, recipe: Recipe, at_us: int) -> pl.DataFrame:
    window = window_us(recipe.window)
    known = rows.filter(pl.col("known_us") <= at_us)
    return known if window is None else known.filter(pl.col("at_us") > at_us - window)


def _segment_scores(recipe: Recipe, past: pl.DataFrame, test: pl.DataFrame, signature: Signature, place: str) -> Floats:
    if min(past.height, test.height) < FEWEST_SEGMENT_ROWS:
        raise InvalidInput(f"only {past.height} rows before and {test.height} after this origin", field=place)
    return _fit(recipe, past, signature, place).scores(model_frame(test, signature))
