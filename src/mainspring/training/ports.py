"""What training asks of the world: somewhere to run user code, and the answers of finished versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mainspring.kernel.errors import WorkerFailed
from mainspring.serving.ports import Row
from mainspring.serving.routing import VersionRoute

Progress = Callable[[float, str], None]
Run = Callable[[Sequence[Row]], Sequence[float]]


class Job(msgspec.Struct, frozen=True):
    """Work for another process. ``kind`` names what is done; ``on_progress`` gets (share done, words).

    ``shared_by`` is how many jobs share one piece of work at the same time: they share what one alone may use.
    """

    kind: str
    spec: dict[str, Any]
    timeout_s: float = 3_600.0
    on_progress: Progress | None = None
    id: str = ""
    shared_by: int = 1


class Result(msgspec.Struct, frozen=True):
    """What a job gave: its manifest, and the folder with the files that the manifest names."""

    manifest: dict[str, Any]
    folder: Path


class Jobs(Protocol):
    """Runs jobs in processes of their own. Satisfied by local processes."""

    @property
    def side_by_side(self) -> int:
        """Return how many jobs may share one piece of work at the same time."""
        ...

    def run(self, job: Job) -> Result:
        """Run a job to its end; raises what its code raised on purpose, else ``WorkerFailed`` with its last words."""
        ...

    def discard(self, result: Result) -> None:
        """Remove a result's folder once everything in it was stored."""
        ...


class Unfit(WorkerFailed):
    """The version answers in a form that no caller can be given: too many numbers a row, too many or too few rows."""


class Folders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a worker finds the blobs and the environments of a home."""

    blobs: str = ""
    environments: str = ""


class Asking(Protocol):
    """Asks a finished version as serving would: its code runs in a process and an environment of its own.

    Satisfied by ``adapters.runtimes.asking``. What cannot be started raises ``Unavailable``, a row that is not answered
    ``WorkerFailed``.
    """

    def __call__(self, version: VersionRoute, folders: Folders) -> AbstractContextManager[Run]:
        """Return what runs the version until it is closed."""
        ...
