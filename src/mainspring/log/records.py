"""The record types of the spool. One record may carry many rows of one request; the tables hold one line a row.

All times are microseconds since 1970 in UTC. Ids are ours; names never appear. ``VERSION`` is raised when a field is
added at the end (older records stay readable: fields are positional and new ones have defaults).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.values import Vector

VERSION = 4

Role = Literal["served", "shadow", "fallback", "pinned", "batch", "external"]
Status = Literal["ok", "failed", "late", "invalid", "refused"]


class Request(msgspec.Struct, frozen=True, array_like=True, tag="request", gc=False):
    """What was asked: rows (a JSON object, a list, or an Arrow stream); an entity, unit and subject for each."""

    prediction_id: str
    project: str
    model: str
    decision_us: int
    receipt_us: int
    body: bytes
    entities: tuple[str, ...]
    units: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    caller: str = ""
    idempotency_key: str = ""


class Assignment(msgspec.Struct, frozen=True, array_like=True, tag="assignment", gc=False):
    """Which arm each row drew, and with what probability. Spooled before any model code runs."""

    prediction_id: str
    model: str
    generation: int
    release: str
    epoch: int
    salt: str
    rows: tuple[int, ...]
    draws: tuple[float, ...]
    arms: tuple[str, ...]
    propensities: tuple[float, ...]
    decision_us: int = 0
    action_set: tuple[str, ...] = ()
    action_propensities: tuple[float, ...] = ()


class Scored(msgspec.Struct, frozen=True, array_like=True, tag="scored", gc=False):
    """What one version answered for some rows of one request.

    ``outputs`` holds a number a row; outputs that no number stands for are ``mainspring.kernel.values`` in ``typed``.
    ``features`` is JSON: a list with one object a row, ``{view: [[value, …], known_at_us, view_digest]}``.
    """

    prediction_id: str
    model: str
    version: str
    role: Role
    status: Status
    generation: int
    rows: tuple[int, ...]
    outputs: tuple[float | None, ...]
    features: bytes
    latency_us: int
    decision_us: int
    reason: str = ""
    threshold: float | None = None
    decisions: tuple[bool | None, ...] = ()
    typed: bytes = b""
    release: str = ""


class ScoredRows(Scored, frozen=True, array_like=True, tag="scored_rows", gc=False):
    """What a version answered for many rows, of which several saw the same features.

    Then ``features`` is one object with the distinct entries of each view, ``{view: [[[value, …], …], …]}``, and
    ``seen`` holds for each of these views the place of every row's entry.
    """

    seen: tuple[tuple[int, ...], ...] = ()


class ScoredVectors(Scored, frozen=True, array_like=True, tag="scored_vectors", gc=False):
    """What a version answered that gives several numbers a row: ``parts`` says what each is for, such as its class.

    ``outputs`` holds the greatest of a row's numbers. With ``seen`` features are written as those of ``ScoredRows``.
    """

    parts: tuple[str, ...] = ()
    vectors: tuple[tuple[float, ...] | None, ...] = ()
    seen: tuple[tuple[int, ...], ...] | None = None


def vectors_of(made: Scored, parts: tuple[str, ...]) -> ScoredVectors:
    """Return a record whose outputs are vectors as it can be written."""
    fields = {name: getattr(made, name) for name in Scored.__struct_fields__}
    fields["outputs"] = tuple([None if value is None else float(value) for value in made.outputs])
    vectors = tuple([value.numbers if isinstance(value, Vector) else None for value in made.outputs])
    seen = made.seen if isinstance(made, ScoredRows) else None
    return ScoredVectors(**fields, parts=parts, vectors=vectors, seen=seen)


class Outcomes(msgspec.Struct, frozen=True, array_like=True, tag="outcomes"):
    """What came true, for many entities at once. ``known_us`` is when it was known, not when it happened."""

    project: str
    model: str
    entities: tuple[str, ...]
    values: tuple[float, ...]
    event_us: tuple[int, ...]
    known_us: tuple[int, ...]


class ClassOutcomes(Outcomes, frozen=True, array_like=True, tag="class_outcomes"):
    """Which class came true, in place of ``values``: for many entities at once."""

    labels: tuple[str, ...] = ()


def classes_of(came: Outcomes, labels: tuple[str, ...]) -> ClassOutcomes:
    """Return outcomes that are classes."""
    fields = {name: getattr(came, name) for name in Outcomes.__struct_fields__}
    return ClassOutcomes(**fields, labels=labels)


class SourceRows(msgspec.Struct, frozen=True, array_like=True, tag="source_rows"):
    """Rows pushed to a source: the raw body, a JSON list of objects already checked against the source's columns."""

    project: str
    source: str
    receipt_us: int
    body: bytes


class Stopped(msgspec.Struct, frozen=True, array_like=True, tag="stopped"):
    """A spool that took nothing for a while, told by its writer once it writes again: how long, what was refused."""

    boot: str
    why: str
    lasted_ms: int
    refused: int


Record = Request | Assignment | Scored | ScoredRows | ScoredVectors | Outcomes | ClassOutcomes | SourceRows | Stopped
