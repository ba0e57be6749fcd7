"""``run/<worker>.wires``: what workers of one port tell each other of challengers, of which each meets a part."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mainspring.serving.tripwire import Tripwire


class Tally(msgspec.Struct, frozen=True):
    """What one worker has come to with one challenger since it began."""

    evidence: float = 0.0
    failures: int = 0
    requests: int = 0

    def since(self, before: Tally) -> Tally:
        """Return what is new."""
        return Tally(self.evidence - before.evidence, self.failures - before.failures, self.requests - before.requests)


Tallies = dict[str, dict[str, Tally]]
"""By release and version."""


class Said(msgspec.Struct, frozen=True):
    """What a worker's file says; another ``pid`` has begun to count anew."""

    pid: int
    tallies: Tallies


class Hearsay:
    """Tells the other workers what this one has come to, and hears what is new from them."""

    def __init__(self, run: Path, worker: str) -> None:
        self._run = run
        self._worker = worker
        self._said: Tallies = {}
        self._heard: dict[Path, tuple[tuple[int, int], Said]] = {}

    def tell(self, own: Tallies) -> None:
        """Leave word, if there is anything new."""
        if own == self._said:
            return
        staged = self._run / f".{self._worker}.wires"
        staged.write_bytes(msgspec.json.encode(Said(os.getpid(), own)))
        staged.rename(self._run / f"{self._worker}.wires")
        self._said = own  # only now: a full disk is tried again

    def hear(self) -> list[Tallies]:
        """Return what each of the others has come to since it was heard last."""
        found = []
        for path in self._run.glob("gateway-*.wires"):
            if path.stem == self._worker:
                continue
            try:
                stands = path.stat()
                mark = stands.st_ino, stands.st_mtime_ns
                known, before = self._heard.get(path, ((0, 0), Said(0, {})))
                if mark == known:
                    continue
                said = msgspec.json.decode(path.read_bytes(), type=Said)
            except (OSError, msgspec.DecodeError):  # it has just ended
                continue
            self._heard[path] = mark, said
            found.append(_news(said.tallies, before.tallies if before.pid == said.pid else {}))
        return found

    def withdraw(self) -> None:
        """Take it away: this worker ends."""
        (self._run / f"{self._worker}.wires").unlink(missing_ok=True)


def tally(wire: Tripwire, heard: Tally) -> Tally:
    """Return what a worker itself has come to, without what it ``heard``."""
    return Tally(wire.evidence, wire.failures - heard.failures, wire.requests - heard.requests)


def _news(now: Tallies, before: Tallies) -> Tallies:
    return {
        release: {
            version: one.since(before.get(release, {}).get(version, Tally())) for version, one in versions.items()
        }
        for release, versions in now.items()
    }
