"""Verbs of serving: one prediction and everything about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_version
from mainspring.edges.verbs.verb import Verb, machine_path
from mainspring.kernel.errors import NotFound

if TYPE_CHECKING:
    from mainspring.platform import Platform


class OnePrediction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prediction."""

    id: Annotated[str, Meta(description="id of a prediction, as the answer gave it")]


class OneProcess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose process."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")] = "champion"
    lines: Annotated[int, Meta(ge=1, le=5_000, description="how many of the newest lines")] = 50


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows to score."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    file: Annotated[str, machine_path("a Parquet or CSV file with the columns that a request carries")]
    out: Annotated[str, machine_path("where the answers are written, as Parquet")]
    version: Annotated[str, Meta(description="a number, an alias such as champion, or an id")] = "champion"
    at: Annotated[str | None, Meta(description="features as known then, ISO 8601 with a zone; now if not said")] = None


def process_log(platform: Platform, asked: OneProcess, by: str) -> Any:
    from mainspring.adapters.runtimes.frames import socket_path
    from mainspring.adapters.runtimes.launching import broken_file, words_file
    from mainspring.adapters.runtimes.process import listens
    from mainspring.adapters.runtimes.words import tail

    version = find_version(platform, find_model(platform, asked.model), asked.version)
    run = platform.home.run
    return {
        "version": version.number,
        "answers": listens(socket_path(run, version.id)),
        "cannot_stay_up": broken_file(run, version.id).exists(),
        "lines": tail(words_file(run, version.id), most_bytes=512 * asked.lines).splitlines()[-asked.lines :],
    }


def process_state(platform: Platform, version: str) -> str:
    """Return in words whether a version that is served answers: in the gateways, or in a process of its own."""
    from mainspring.adapters.pulse import SILENT_S, quiet_s
    from mainspring.adapters.runtimes.frames import socket_path
    from mainspring.adapters.runtimes.launching import words_file
    from mainspring.adapters.runtimes.process import listens
    from mainspring.adapters.runtimes.words import ENDED, tail

    routing = platform.routing.read()
    served = {} if routing is None else {one.id: one for one in routing.versions}
    if version not in served:
        return "is not served"
    if served[version].package.in_gateway:
        return "runs in the gateways"
    path = socket_path(platform.home.run, version)
    if listens(path):
        silent_s = quiet_s(path)
        if silent_s > SILENT_S:
            return f"its process has not turned for {silent_s:.0f} s; it is started anew after a minute of that"
        return "answers in a process of its own"
    ended = [line for line in tail(words_file(platform.home.run, version)).splitlines() if line.startswith(ENDED)]
    return f"its process is away: {ended[-1].removeprefix(ENDED)}" if ended else "its process has not come up"


def score(platform: Platform, asked: Score, by: str) -> Any:
    from mainspring.edges.gateway.score import score as score_file
    from mainspring.kernel.clock import parse_time, to_us

    model = find_model(platform, asked.model)
    version = find_version(platform, model, asked.version)
    at_us = to_us(parse_time(asked.at, field="at")) if asked.at else None
    files = Path(asked.file), Path(asked.out)
    scored = score_file(platform, model.id, *files, by=by, version=version.number, at_us=at_us)
    platform.loop.ingest()
    return scored


def prediction(platform: Platform, asked: OnePrediction, by: str) -> Any:
    return _found(platform, platform.log.prediction, asked.id)


def replay(platform: Platform, asked: OnePrediction, by: str) -> Any:
    return _found(platform, platform.replay.replay, asked.id)


def _found(platform: Platform, look: Callable[[str], Any], id: str) -> Any:
    """Look for a prediction in the log; where it is not, a gateway may have answered it a moment ago."""
    try:
        return look(id)
    except NotFound as missing:
        if missing.field != "prediction" or not platform.loop.ingest():
            raise
        return look(id)


VERBS = (
    Verb(
        name="process log",
        group="Serving",
        summary="Show what a version's own process printed, how it ended, and whether it answers",
        arguments=OneProcess,
        call=process_log,
        positional=("model", "version"),
    ),
    Verb(
        name="score",
        group="Serving",
        summary="Score a file of rows into the same log",
        arguments=Score,
        call=score,
        permission="owner",
        positional=("model", "file", "out"),
        long_running=True,
    ),
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
