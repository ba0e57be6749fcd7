"""Reads what the pages of predictions show: the newest of a model, one with all that is logged, and its replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.verbs.serving import OnePrediction, prediction, replay
from mainspring.edges.web import views
from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import NotFound

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow

_NEWEST = 50
_MOST_ROWS = 20
_SPANS_US = (60_000_000, 3_600_000_000, 48 * 3_600_000_000, 120 * 24 * 3_600_000_000)  # looked at in turn, until enough


def read_newest(platform: Platform, project: str, name: str) -> tuple[ModelRow, tuple[views.PredictionLine, ...]]:
    """Return a model with its newest predictions; of a busy one no more of the log is read than that takes."""
    row = find_model(platform, f"{project}/{name}")
    now_us = platform.clock.now_us()
    found = pl.DataFrame()
    for span_us in _SPANS_US:
        found = platform.log.requests(row.id, since_us=now_us - span_us)
        if found.height >= _NEWEST:
            break
    if not found.height:
        return row, ()
    lines = (
        found.group_by("prediction_id")
        .agg(pl.len(), pl.col("decision_us", "entity", "caller").sort_by("row").first())
        .sort("decision_us", "prediction_id", descending=True)
        .head(_NEWEST)
    )
    return row, tuple(
        views.PredictionLine(one["prediction_id"], one["decision_us"], one["len"], one["entity"], one["caller"] or "")
        for one in lines.rows(named=True)
    )


def read_prediction(platform: Platform, id: str) -> views.Prediction:
    """Return one prediction with its draw, all answers to it, and what came true."""
    found = prediction(platform, OnePrediction(id=id), "")
    requests = sorted(found["requests"], key=lambda one: one["row"])
    first = requests[0]
    row = platform.registry.model(None, first["model"])
    names = _Names(platform)
    return views.Prediction(
        id=id,
        project=row.project_name,
        model=row.name,
        at_us=first["decision_us"],
        time=show_time(from_us(first["decision_us"])),
        acknowledgement=found["acknowledgement"],
        caller=first["caller"] or "",
        rows=tuple(_asked(one, found, names) for one in requests[:_MOST_ROWS]),
        more_rows=max(len(requests) - _MOST_ROWS, 0),
    )


def read_replay(platform: Platform, id: str) -> views.Replay:
    """Answer a prediction again, and return whether the bytes are the same."""
    found = replay(platform, OnePrediction(id=id), "")
    rows = tuple((one.row, one.then, one.again, one.equal) for one in found.rows[:_MOST_ROWS])
    return views.Replay(found.id, found.model, found.version, found.equal, found.erased, found.difference, rows)


class _Names:
    """Remembers what versions are called."""

    def __init__(self, platform: Platform) -> None:
        self._registry = platform.registry
        self._known: dict[str, str] = {}

    def of(self, version: str) -> str:
        if version not in self._known:
            try:
                self._known[version] = f"v{self._registry.version(version).number}"
            except NotFound:
                self._known[version] = version
        return self._known[version]


def _asked(one: dict[str, Any], found: dict[str, Any], names: _Names) -> views.Asked:
    drawn = next((known for known in found["assignments"] if known["row"] == one["row"]), None)
    answers = [known for known in found["scored"] if known["row"] == one["row"]]
    return views.Asked(
        row=one["row"],
        entity=one["entity"],
        unit=one["unit"],
        body=_object(one["body"]),
        erased=one["body"] == "",
        drawn=names.of(drawn["arm"]) if drawn is not None and drawn["arm"] else "",
        release=drawn["release"] if drawn is not None else "",
        propensity=drawn["propensity"] if drawn is not None else None,
        draw=drawn["draw"] if drawn is not None else None,
        answers=tuple(_answer(known, names) for known in sorted(answers, key=lambda known: known["role"] != "served")),
        outcomes=tuple(known for known in found["outcomes"] if known["entity"] == one["entity"]),
    )


def _answer(one: dict[str, Any], names: _Names) -> views.Answer:
    output = one["output"] if one["vector"] is None else list(one["vector"])
    return views.Answer(
        version=names.of(one["version"]),
        page=f"/versions/{one['version']}",
        role=one["role"],
        status=one["status"],
        output=output,
        decision="" if one["decision"] is None else str(one["decision"]),
        latency_us=one["latency_us"],
        features=_object(one["features"]),
        reason=one["reason"] or "",
    )


def _object(text: str | None) -> dict[str, Any]:
    """Return a logged JSON object; what is none stands under its own name."""
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"unreadable": text}
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, dict) else {"value": found}
