"""``run/up.json``: what the supervisor of a home says of its processes, for whoever asks how it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

State = Literal["runs", "waits", "refuses"]


class ProcessState(msgspec.Struct, frozen=True):
    """One process: ``failures`` in a row, and why it ended last. One that ``refuses`` is not started again."""

    name: str
    state: State
    pid: int | None = None
    restarts: int = 0
    failures: int = 0
    why: str = ""


class UpFile(msgspec.Struct, frozen=True):
    """What the supervisor says."""

    pid: int
    processes: tuple[ProcessState, ...]
    replaced_after_s: float


def write_up(run: Path, said: UpFile) -> None:
    """Replace what was said before."""
    fresh = run / "up.new"
    fresh.write_bytes(msgspec.json.encode(said))
    fresh.replace(run / "up.json")


def read_up(run: Path) -> UpFile | None:
    """Return what the supervisor says, if it lives."""
    try:
        said = msgspec.json.decode((run / "up.json").read_bytes(), type=UpFile)
        os.kill(said.pid, 0)
    except PermissionError:
        return said
    except (OSError, msgspec.DecodeError):
        return None
    return said
