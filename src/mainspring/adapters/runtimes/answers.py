"""Runs a version on many rows in a worker: what it would have said of each; where it raises, it failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.package import load
from mainspring.kernel.values import plain
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute
from mainspring.training.ports import Folders, Run

CHUNK_ROWS = 500


class AnswerJob(msgspec.Struct, frozen=True):
    """The order to a worker."""

    version: VersionRoute
    folders: Folders
    rows: list[list[Any]]


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Answer all rows of an order, many at a time."""
    order = msgspec.convert(spec, AnswerJob)
    with _running(order, staging) as run:
        values: list[float | None] = []
        for start in range(0, len(order.rows), CHUNK_ROWS):
            values += _chunk(run, [tuple(row) for row in order.rows[start : start + CHUNK_ROWS]])
    return {"values": [plain(value) for value in values]}


@contextmanager
def _running(order: AnswerJob, staging: Path) -> Iterator[Run]:
    """Run the version here, as this is a worker, or in an environment of its own where it has one."""
    if order.version.lock:
        from mainspring.adapters.runtimes.asking import asking  # brings what training needs, and control orders alone

        with asking(order.version, order.folders) as run:
            yield run
        return
    yield load(order.version, FileBlobs(Path(order.folders.blobs), LocalDisk()).get, staging / "code").run


def _chunk(run: Run, rows: Sequence[Row]) -> list[float | None]:
    try:
        return list(run(rows))
    except Exception:
        return [_one(run, row) for row in rows]


def _one(run: Run, row: Row) -> float | None:
    try:
        return run([row])[0]
    except Exception:  # whatever it raises is the failure that a caller would have met
        return None
