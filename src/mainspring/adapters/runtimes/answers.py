"""Runs a version on many rows in a worker: what it would have said of each; where it raises, it failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.package import load
from mainspring.kernel.values import plain
from mainspring.serving.ports import Row, Runtime
from mainspring.serving.routing import VersionRoute

CHUNK_ROWS = 500


class AnswerJob(msgspec.Struct, frozen=True):
    """The order to a worker."""

    version: VersionRoute
    blobs: str
    rows: list[list[Any]]


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Answer all rows of an order, many at a time."""
    order = msgspec.convert(spec, AnswerJob)
    runtime = load(order.version, FileBlobs(Path(order.blobs), LocalDisk()).get, staging / "code")
    values: list[float | None] = []
    for start in range(0, len(order.rows), CHUNK_ROWS):
        values += _chunk(runtime, [tuple(row) for row in order.rows[start : start + CHUNK_ROWS]])
    return {"values": [plain(value) for value in values]}


def _chunk(runtime: Runtime, rows: Sequence[Row]) -> list[float | None]:
    try:
        return list(runtime.run(rows))
    except Exception:
        return [_one(runtime, row) for row in rows]


def _one(runtime: Runtime, row: Row) -> float | None:
    try:
        return runtime.run([row])[0]
    except Exception:  # whatever it raises is the failure that a caller would have met
        return None
