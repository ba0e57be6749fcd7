"""The routing snapshot as a file that control replaces, and one acknowledgement a gateway worker.

``routing/current`` is one header line (``mainspring-routing``, format, SHA-256 of the rest) and JSON.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from mainspring.kernel.errors import Damaged, NotFound
from mainspring.kernel.ids import digest
from mainspring.log.ports import Disk
from mainspring.serving.routing import FORMAT, Routing

_MAGIC = b"mainspring-routing"


class Acknowledgement(msgspec.Struct, frozen=True):
    """What a worker says: the generation it answers by, and the versions it took out by itself, with the reason."""

    worker: str
    generation: int
    at_us: int
    pid: int = 0
    disabled: dict[str, str] = {}


class RoutingFile:
    """The hand-over between control and gateways. The time of an acknowledgement is the machine's."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._current = folder / "current"
        self._acks = folder / "acks"
        self._disk = disk

    def write(self, routing: Routing) -> None:
        """Replace the snapshot, atomically and durably."""
        body = msgspec.json.encode(routing)
        head = b"%s %d %s\n" % (_MAGIC, FORMAT, digest(body).encode())
        self._disk.make(self._folder)
        self._disk.write(self._current, head + body)

    def read(self) -> Routing | None:
        """Return the snapshot, verified; None before the first one was written."""
        try:
            data = self._disk.read(self._current)
        except NotFound:
            return None
        head, _, body = data.partition(b"\n")
        words = head.split(b" ")
        if len(words) != 3 or words[0] != _MAGIC or words[1] != b"%d" % FORMAT:
            raise Damaged(
                "routing/current has an unknown head", field="routing", value=head[:60].decode(errors="replace")
            )
        if digest(body).encode() != words[2]:
            raise Damaged(
                "routing/current is not what was written", field="routing", remedy="let control publish again"
            )
        try:
            return msgspec.json.decode(body, type=Routing)
        except msgspec.DecodeError as error:
            raise Damaged("routing/current cannot be read", field="routing", value=str(error)) from error

    def mark(self) -> tuple[int, int] | None:
        """Return what changes whenever the snapshot is replaced, at the cost of one system call."""
        try:
            found = self._current.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def acknowledge(
        self, worker: str, generation: int, *, pid: int = 0, disabled: dict[str, str] | None = None
    ) -> None:
        """Say that ``worker`` answers by ``generation`` from now on."""
        said = Acknowledgement(worker, generation, time.time_ns() // 1_000, pid, disabled or {})
        self._disk.make(self._acks)
        self._disk.write(self._acks / f"{worker}.json", msgspec.json.encode(said))

    def withdraw(self, worker: str) -> None:
        """Say that ``worker`` answers no more."""
        self._disk.remove(self._acks / f"{worker}.json")

    def workers(self) -> dict[str, Acknowledgement]:
        """Return the newest acknowledgement of each worker."""
        found = {}
        for name in self._disk.list(self._acks):
            if not name.endswith(".json") or name.startswith("."):
                continue
            try:
                said = msgspec.json.decode(self._disk.read(self._acks / name), type=Acknowledgement)
            except (msgspec.DecodeError, NotFound):
                continue  # it was withdrawn, or a worker died long ago with an older format
            found[said.worker] = said
        return found

    def living(self) -> list[Acknowledgement]:
        """Return what the workers say whose processes live."""
        return [said for said in self.workers().values() if _lives(said.pid)]

    def told(self) -> int:
        """Return what changes whenever a worker acknowledges, at the cost of one system call."""
        try:
            return self._acks.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def acknowledgements(self) -> dict[str, tuple[int, int]]:
        """Return ``{worker: (generation, machine time in microseconds)}``."""
        return {worker: (said.generation, said.at_us) for worker, said in self.workers().items()}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
