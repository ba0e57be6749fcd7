"""Verbs of serving: one prediction and everything about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.verb import Verb

if TYPE_CHECKING:
    from mainspring.platform import Platform


class OnePrediction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prediction."""

    id: Annotated[str, Meta(description="id of a prediction, as the answer gave it")]


def prediction(platform: Platform, asked: OnePrediction, by: str) -> Any:
    return platform.log.prediction(asked.id)


def replay(platform: Platform, asked: OnePrediction, by: str) -> Any:
    return platform.replay.replay(asked.id)


VERBS = (
    Verb(
        name="prediction",
        group="Serving",
        summary="Show one prediction: request, draw, features, answers, outcome",
        arguments=OnePrediction,
        call=prediction,
        positional=("id",),
    ),
    Verb(
        name="replay",
        group="Serving",
        summary="Answer a logged prediction again: the same bytes, from what was known then?",
        arguments=OnePrediction,
        call=replay,
        positional=("id",),
        long_running=True,
    ),
)
