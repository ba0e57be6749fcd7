"""Runs a version on a few rows in a worker, exactly as serving runs it: control itself never loads a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.once import running
from mainspring.adapters.runtimes.package import load
from mainspring.kernel.values import from_plain, plain
from mainspring.log.ports import Blobs
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute
from mainspring.training.ports import Job, Jobs

TIMEOUT_S = 120.0


class RecomputeJob(msgspec.Struct, frozen=True):
    """The order to a worker."""

    version: VersionRoute
    blobs: str
    rows: list[list[Any]]
    environments: str = ""


class WorkerRecompute:
    """Satisfies ``Recompute`` through a job; ``folder`` is where ``blobs`` puts its local files."""

    def __init__(self, jobs: Jobs, blobs: Blobs, folder: Path, environments: Path) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._folder = folder
        self._environments = environments

    def __call__(self, version: VersionRoute, rows: Sequence[Row]) -> Sequence[float]:
        for digest in version.package.files.values():
            self._blobs.path(digest)
        order = RecomputeJob(version, str(self._folder), [list(row) for row in rows], str(self._environments))
        result = self._jobs.run(Job("recompute", msgspec.to_builtins(order), timeout_s=TIMEOUT_S))
        values: list[Any] = [from_plain(value) for value in result.manifest["values"]]
        self._jobs.discard(result)
        return values


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Answer the rows of an order, one by one, as single requests were answered."""
    order = msgspec.convert(spec, RecomputeJob)
    if order.version.lock:
        with running(order.version, Path(order.blobs), Path(order.environments)) as asked:
            return {"values": [plain(asked([tuple(row)])[0]) for row in order.rows]}
    blobs = FileBlobs(Path(order.blobs), LocalDisk())
    runtime = load(order.version, blobs.get, staging / "code")
    return {"values": [plain(runtime.run([tuple(row)])[0]) for row in order.rows]}
