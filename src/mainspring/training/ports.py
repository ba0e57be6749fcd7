"""What training asks of the world: somewhere to run user code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

Progress = Callable[[float, str], None]


class Job(msgspec.Struct, frozen=True):
    """Work for another process. ``kind`` names what is done; ``on_progress`` gets (share done, words)."""

    kind: str
    spec: dict[str, Any]
    timeout_s: float = 3_600.0
    on_progress: Progress | None = None
    id: str = ""


class Result(msgspec.Struct, frozen=True):
    """What a job gave: its manifest, and the folder with the files that the manifest names."""

    manifest: dict[str, Any]
    folder: Path


class Jobs(Protocol):
    """Runs jobs one by one in processes of their own. Satisfied by local processes."""

    def run(self, job: Job) -> Result:
        """Run a job to its end; raises what its code raised on purpose, else ``WorkerFailed`` with its last words."""
        ...

    def discard(self, result: Result) -> None:
        """Remove a result's folder once everything in it was stored."""
        ...
