"""From records to the rows of the log's tables: one row of a table for each row of a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import polars as pl

from mainspring.log import arrow
from mainspring.log.records import (
    Assignment,
    ClassOutcomes,
    Outcomes,
    Record,
    Request,
    Scored,
    ScoredRows,
    ScoredVectors,
    SourceRows,
    Stopped,
)

_TEXT, _INT, _FLOAT = pl.String(), pl.Int64(), pl.Float64()

SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "requests": {
        "prediction_id": _TEXT,
        "row": pl.Int32(),
        "project": _TEXT,
        "model": _TEXT,
        "entity": _TEXT,
        "unit": _TEXT,
        "subject": _TEXT,
        "decision_us": _INT,
        "receipt_us": _INT,
        "body": _TEXT,
        "caller": _TEXT,
        "idempotency_key": _TEXT,
    },
    "assignments": {
        "prediction_id": _TEXT,
        "row": pl.Int32(),
        "model": _TEXT,
        "release": _TEXT,
        "epoch": _INT,
        "generation": _INT,
        "salt": _TEXT,
        "draw": _FLOAT,
        "arm": _TEXT,
        "propensity": _FLOAT,
        "decision_us": _INT,
        "actions": _TEXT,
    },
    "scored": {
        "prediction_id": _TEXT,
        "row": pl.Int32(),
        "model": _TEXT,
        "version": _TEXT,
        "role": _TEXT,
        "status": _TEXT,
        "output": _FLOAT,
        "decision_us": _INT,
        "latency_us": _INT,
        "generation": _INT,
        "release": _TEXT,
        "reason": _TEXT,
        "threshold": _FLOAT,
        "decision": pl.Boolean(),
        "features": _TEXT,
        "typed": pl.Binary(),
        "vector": pl.List(_FLOAT),
        "parts": pl.List(_TEXT),
    },
    "outcomes": {
        "project": _TEXT,
        "model": _TEXT,
        "entity": _TEXT,
        "value": _FLOAT,
        "event_us": _INT,
        "known_us": _INT,
        "label": _TEXT,
    },
}
TIMES = {"requests": "decision_us", "assignments": "decision_us", "scored": "decision_us", "outcomes": "known_us"}

_objects = msgspec.json.Decoder(list[msgspec.Raw])
_distinct = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])
_packed = msgspec.msgpack.Decoder(list[msgspec.Raw])


Row = tuple[Any, ...]


class Rows(msgspec.Struct, frozen=True):
    """The rows of some records: a frame for each table that has any, and pushed bodies by source as they came.

    ``refused`` are records whose parts contradict each other; a gateway writes none, so they are kept as damage.
    """

    frames: dict[str, pl.DataFrame]
    pushed: dict[str, list[SourceRows]]
    refused: tuple[Record, ...] = ()
    stops: tuple[Stopped, ...] = ()


def rows_of(records: Iterable[Record]) -> Rows:
    """Return the rows of ``records`` in their order."""
    found: dict[str, list[Row]] = {name: [] for name in SCHEMAS}
    pushed: dict[str, list[SourceRows]] = {}
    refused: list[Record] = []
    stops: list[Stopped] = []
    for record in records:
        try:
            match record:
                case Request():
                    found["requests"].extend(_request_rows(record))
                case Assignment():
                    found["assignments"].extend(_assignment_rows(record))
                case Scored():
                    found["scored"].extend(_scored_rows(record))
                case Outcomes():
                    found["outcomes"].extend(_outcome_rows(record))
                case SourceRows():
                    pushed.setdefault(record.source, []).append(record)
                case Stopped():
                    stops.append(record)
        except (ValueError, IndexError, msgspec.MsgspecError):
            refused.append(record)
    frames = {name: _frame(name, rows) for name, rows in found.items() if rows}
    return Rows(frames, pushed, tuple(refused), tuple(stops))


def _frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    columns = zip(SCHEMAS[table].items(), zip(*rows, strict=True), strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype) for (name, dtype), values in columns])


def _request_rows(record: Request) -> list[Row]:
    bodies = _split(record.body, len(record.entities))
    subjects = record.subjects or ("",) * len(record.entities)
    asked = zip(record.entities, record.units, subjects, bodies, strict=True)
    who = (record.prediction_id,)
    what = (record.project, record.model)
    when = (record.decision_us, record.receipt_us)
    by = (record.caller, record.idempotency_key)
    return [
        (*who, row, *what, entity, unit, subject, *when, body, *by)
        for row, (entity, unit, subject, body) in enumerate(asked)
    ]


def _assignment_rows(record: Assignment) -> list[Row]:
    drawn = zip(record.rows, record.draws, record.arms, record.propensities, strict=True)
    routed = (record.model, record.release, record.epoch, record.generation, record.salt)
    actions = (record.decision_us, _actions(record))
    return [
        (record.prediction_id, row, *routed, draw, arm, propensity, *actions) for row, draw, arm, propensity in drawn
    ]


def _actions(record: Assignment) -> str:
    """Return what a bandit could have done, with its propensities, as a JSON object; empty where nothing was chosen."""
    if not record.action_set:
        return ""
    propensities = dict(zip(record.action_set, record.action_propensities, strict=True))
    return msgspec.json.encode(propensities).decode()


def _scored_rows(record: Scored) -> list[Row]:
    many = len(record.rows)
    outputs = record.outputs or (None,) * many
    decisions = record.decisions or (None,) * many
    features = _features(record, many)
    typed = [bytes(piece) for piece in _packed.decode(record.typed)] if record.typed else [None] * many
    vectors = record.vectors if isinstance(record, ScoredVectors) else (None,) * many
    parts = record.parts if isinstance(record, ScoredVectors) else None
    scored = zip(record.rows, outputs, decisions, features, typed, vectors, strict=True)
    by = (record.model, record.version, record.role, record.status)
    how = (record.decision_us, record.latency_us, record.generation, record.release, record.reason, record.threshold)
    return [
        (record.prediction_id, row, *by, output, *how, decision, looked_up, value, vector, parts)
        for row, output, decision, looked_up, value, vector in scored
    ]


def _features(record: Scored, many: int) -> Sequence[str]:
    """Return the features of each row as a JSON object."""
    if not record.features:
        return ("",) * many
    places = record.seen if isinstance(record, ScoredRows | ScoredVectors) else None
    if places is None:
        return _split(record.features, many)
    if not places:
        return ("{}",) * many
    views = []
    for (name, entries), seen in zip(_distinct.decode(record.features).items(), places, strict=True):
        said = [f"{msgspec.json.encode(name).decode()}:{bytes(entry).decode()}" for entry in entries]
        views.append([said[place] for place in seen])
    return ["{" + ",".join(row) + "}" for row in zip(*views, strict=True)]


def _outcome_rows(record: Outcomes) -> list[Row]:
    many = len(record.entities)
    values: Sequence[float | None] = record.values
    labels: Sequence[str | None] = (None,) * many
    if isinstance(record, ClassOutcomes):
        values, labels = (None,) * many, record.labels
    came = zip(record.entities, values, record.event_us, record.known_us, labels, strict=True)
    return [(record.project, record.model, *each) for each in came]


def _split(body: bytes, many: int) -> Sequence[str]:
    """Return each row's exact bytes as text: an object is one row, a list one for each object; Arrow's become JSON."""
    if body[:4] == arrow.MARK:
        return [row.decode() for row in arrow.listed(body)]
    if many == 1 and body.lstrip()[:1] != b"[":
        return (body.decode(),)
    return [bytes(piece).decode() for piece in _objects.decode(body)]
