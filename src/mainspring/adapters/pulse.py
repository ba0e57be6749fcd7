"""Signs of life: a file for each process that should never stop to turn, moved on by the very thread that turns."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec

BEAT_S = 1.0
SILENT_S = 10.0  # a process that has not turned for so long is named
_STOPPED, _AT_WORK = "T", "RDt"  # as /proc has it; one that a debugger has stopped is at work


class PulseFile(msgspec.Struct, frozen=True):
    """What ``run/<name>.pulse`` says; when it turned last is the time of the file."""

    name: str
    pid: int
    thread: int


class Turning(msgspec.Struct, frozen=True):
    """A thread at one moment: its state as the kernel has it, and the processor time that it has used."""

    state: str
    ticks: int

    @property
    def is_stopped(self) -> bool:
        return self.state == _STOPPED

    def is_at_work(self, before: Turning | None) -> bool:
        """Tell whether it wants the processor or the disk, or has used the processor since."""
        return self.state in _AT_WORK or before is None or self.ticks != before.ticks


class Pulse:
    """The sign of life of this process: ``begin`` and ``beat`` are called by the thread that turns."""

    def __init__(self, run: Path, name: str) -> None:
        self._path = run / f"{name}.pulse"
        self._name = name

    def begin(self) -> None:
        """Say which thread of which process turns from now on."""
        fresh = self._path.with_suffix(".new")
        with suppress(OSError):  # a full disk ends no process
            fresh.write_bytes(msgspec.json.encode(PulseFile(self._name, os.getpid(), threading.get_native_id())))
            fresh.replace(self._path)

    def beat(self) -> None:
        """Say that it turns."""
        with suppress(OSError):
            os.utime(self._path)

    def end(self) -> None:
        """Say that it turns no more, and should not."""
        self._path.unlink(missing_ok=True)


class Felt(msgspec.Struct, frozen=True):
    """A pulse as it is felt from outside; ``beat`` changes whenever it turns."""

    name: str
    pid: int
    thread: int
    beat: int

    @property
    def silent_s(self) -> float:
        """Return for how long it has not turned, by the clock of this machine."""
        return max(0.0, time.time() - self.beat / 1e9)


def quiet_s(path: Path) -> float:
    """Return for how long a file was not moved on, by the clock of this machine; 0 where there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def feel(run: Path, name: str) -> Felt | None:
    """Return the pulse of a process, if it lives and has begun to turn."""
    path = run / f"{name}.pulse"
    try:
        beat = path.stat().st_mtime_ns
        said = msgspec.json.decode(path.read_bytes(), type=PulseFile)
        os.kill(said.pid, 0)
    except PermissionError:
        pass  # it lives, as somebody else
    except (OSError, msgspec.DecodeError):
        return None
    return Felt(said.name, said.pid, said.thread, beat)


def feel_all(run: Path) -> list[Felt]:
    """Return the pulses of all processes of a home that live."""
    found = [feel(run, path.stem) for path in sorted(run.glob("*.pulse"))]
    return [one for one in found if one is not None]


def turning(pid: int, thread: int) -> Turning | None:
    """Return what a thread does; None where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except OSError:
        return None
    words = text[text.rindex(")") + 2 :].split()
    return Turning(words[0], int(words[11]) + int(words[12]))


class Patience:
    """How long a process was seen to stand still: it did not turn, wanted nothing, and whoever looks did turn.

    A look adds what has passed since the one before, and no more than a second: neither a machine that was suspended
    nor a supervisor that was stopped itself takes a process for dead. Time in which it was at work does not count.

    >>> patience = Patience(30.0)
    >>> [patience.has_ended(beat=1, at_work=False, now_s=float(now_s)) for now_s in (0, 1, 3_600)], patience.still_s
    ([False, False, False], 2.0)
    """

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self.still_s = 0.0
        self._beat = 0
        self._looked_s: float | None = None

    def has_ended(self, *, beat: int, at_work: bool, now_s: float) -> bool:
        """Look at a process, and tell whether it has stood still for too long."""
        passed_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, BEAT_S)
        self._looked_s = now_s
        if beat != self._beat:
            self._beat, self.still_s = beat, 0.0
        elif not at_work:
            self.still_s += passed_s
        return self.still_s >= self.most_s
