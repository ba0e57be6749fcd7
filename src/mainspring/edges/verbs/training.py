"""Verbs of training: making the next version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.verbs.verb import Verb, Work

if TYPE_CHECKING:
    from mainspring.platform import Platform


class OneModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]


class Train(Work, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to train."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    recipe: Annotated[str | None, Meta(description="which recipe; the first one if not said")] = None


class Backtest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to test."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    origins: Annotated[int, Meta(description="how many moments of the past to train at", ge=1, le=60)] = 6


class OneRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run."""

    run: Annotated[str, Meta(description="id of a run")]


def train(platform: Platform, asked: Train, by: str) -> Any:
    model = find_model(platform, asked.model)
    return _named(platform, platform.training.train(model.id, recipe=asked.recipe, by=by, reason=asked.reason))


def backtest(platform: Platform, asked: Backtest, by: str) -> Any:
    model = find_model(platform, asked.model)
    return platform.backtests.run(model.id, origins=asked.origins, by=by)


def backtests(platform: Platform, asked: OneModel, by: str) -> Any:
    return platform.backtests.of(find_model(platform, asked.model).id)


def retrainings(platform: Platform, asked: OneModel, by: str) -> Any:
    from mainspring.loop.retrainings import retrainings_of

    model = find_model(platform, asked.model)
    with platform.store.read() as connection:
        return retrainings_of(connection, model.id)


def runs(platform: Platform, asked: OneModel, by: str) -> Any:
    return platform.training.runs(find_model(platform, asked.model).id)


def run(platform: Platform, asked: OneRun, by: str) -> Any:
    return _named(platform, platform.training.run(asked.run))


def _named(platform: Platform, run: Any) -> dict[str, Any]:
    """Return a run with its model's name: ids tell a person nothing."""
    return {**msgspec.structs.asdict(run), "model_name": platform.registry.model(None, run.model).name}


_RUN = (
    "model_name", "number", "recipe", "status", "reused", "started_us", "finished_us", "reason", "numbers", "id",
    "version", "model",
)  # fmt: skip


VERBS = (
    Verb(
        name="train",
        group="Training",
        summary="Train a version on what is known now, and register it",
        arguments=Train,
        call=train,
        permission="operate",
        positional=("model",),
        long_running=True,
        columns=_RUN,
    ),
    Verb(
        name="backtest",
        group="Training",
        summary="Ask the past whether retraining would have helped",
        arguments=Backtest,
        call=backtest,
        permission="operate",
        positional=("model",),
        long_running=True,
    ),
    Verb(
        name="backtests",
        group="Training",
        summary="List what the past said of retraining, with its numbers",
        arguments=OneModel,
        call=backtests,
        positional=("model",),
        columns=("id", "recipe", "verdict", "reason"),
    ),
    Verb(
        name="retrainings",
        group="Training",
        summary="List what the loop set out to retrain, why, and how far it came",
        arguments=OneModel,
        call=retrainings,
        positional=("model",),
        columns=("id", "trigger", "state", "proposed_us", "changed_us", "release", "reason"),
    ),
    Verb(
        name="runs",
        group="Training",
        summary="List the training runs of a model",
        arguments=OneModel,
        call=runs,
        positional=("model",),
        columns=("id", "recipe", "status", "number", "started_us", "finished_us", "reason"),
    ),
    Verb(
        name="run",
        group="Training",
        summary="Show one training run with its lineage and numbers",
        arguments=OneRun,
        call=run,
        positional=("run",),
        columns=_RUN,
    ),
)
