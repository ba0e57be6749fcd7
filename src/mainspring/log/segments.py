"""The reading side of the spool: whole groups of every boot, from where the last transaction left off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mainspring.kernel.errors import Damaged, NotFound
from mainspring.log.frame import read_groups
from mainspring.log.ports import Disk
from mainspring.log.records import Record
from mainspring.log.spool import LOCK, POLICY, POLICY_VERSION, Policy

QUARANTINE = "quarantine"
_SEGMENT = ".seg"


class Position(msgspec.Struct, frozen=True):
    """Everything before ``offset`` of ``segment`` has been read."""

    segment: int
    offset: int


class Damage(msgspec.Struct, frozen=True):
    """Bytes of a segment that are no group, with whole groups after them."""

    boot: str
    segment: int
    offset: int
    bytes: int


class Reading(msgspec.Struct, frozen=True):
    """What one boot's segments held from a position on.

    ``spent`` are segments in which nothing is left to read and to which nothing will be added.
    """

    boot: str
    records: tuple[Record, ...]
    position: Position
    spent: tuple[int, ...]
    ended: bool
    damage: tuple[Damage, ...] = ()
    torn_bytes: int = 0
    left_bytes: int = 0
    policy: Policy | None = None  # None where nothing is said of it here


def boots(disk: Disk, spool: Path) -> list[str]:
    """Return the boots that have written and are not removed yet; one that is just beginning is still hidden."""
    return [name for name in disk.list(spool) if name != QUARANTINE and not name.startswith(".")]


def read_boot(disk: Disk, spool: Path, boot: str, positions: Mapping[str, Position], most_records: int) -> Reading:
    """Read a boot's whole groups until ``most_records`` are there or nothing whole is left."""
    folder = spool / boot
    ended = _ended(disk, folder)  # asked before the segments are listed: what ended adds nothing afterwards
    numbers = segment_numbers(disk, folder)
    position = positions.get(boot, Position(0, 0))
    records: list[Record] = []
    spent = [number for number in numbers if number < position.segment]
    damage: list[Damage] = []
    torn_bytes = left_bytes = 0
    for number in numbers[len(spent) :]:
        data_from = position.offset if number == position.segment else 0
        data = disk.read(folder / f"{number:06d}{_SEGMENT}", data_from)
        final = ended or number != numbers[-1]
        place = 0
        while True:
            scan = read_groups(data, place, most_records=most_records - len(records))
            records.extend(scan.records)
            place = scan.end
            if scan.rest != "damage":
                break
            damage.append(Damage(boot, number, data_from + place, scan.resume - place))
            place = scan.resume
        position = Position(number, data_from + place)
        if final and scan.rest == "unfinished":
            if scan.as_long_as_said:  # no crash of a process leaves that
                damage.append(Damage(boot, number, data_from + place, len(data) - place))
                position = Position(number, data_from + len(data))
            else:
                torn_bytes += len(data) - place
        elif place < len(data) or not final:
            left_bytes += len(data) - place
            if place < len(data):
                break
            continue
        spent.append(number)
    done = ended and len(spent) == len(numbers)
    policy = _policy(disk, folder)
    return Reading(boot, tuple(records), position, tuple(spent), done, tuple(damage), torn_bytes, left_bytes, policy)


def segment_numbers(disk: Disk, folder: Path) -> list[int]:
    """Return the numbers of a boot's segments in order."""
    return [int(name.removesuffix(_SEGMENT)) for name in disk.list(folder) if name.endswith(_SEGMENT)]


def segment_path(spool: Path, boot: str, number: int) -> Path:
    """Return where a segment lies."""
    return spool / boot / f"{number:06d}{_SEGMENT}"


def remove_spent(disk: Disk, spool: Path, reading: Reading) -> None:
    """Remove segments whose rows are committed, and with the last one the boot that has ended."""
    for number in reading.spent:
        disk.remove(segment_path(spool, reading.boot, number))
    if reading.ended:
        disk.remove(spool / reading.boot / POLICY)
        disk.remove(spool / reading.boot / LOCK)
        disk.remove(spool / reading.boot)


class FolderReader:
    """The reading side of a folder of segments."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder

    def read(self, at: Mapping[str, Position], most_records: int) -> list[Reading]:
        """Return what each boot's segments hold after ``at``."""
        readings: list[Reading] = []
        left = most_records
        for boot in boots(self._disk, self._folder):
            readings.append(read_boot(self._disk, self._folder, boot, at, left))
            left = max(0, left - len(readings[-1].records))
        return readings

    def raw(self, damage: Damage) -> bytes:
        """Return the whole segment in which damage was found."""
        return self._disk.read(segment_path(self._folder, damage.boot, damage.segment))

    def clean(self, readings: Sequence[Reading]) -> None:
        """Remove segments whose rows are committed."""
        for reading in readings:
            remove_spent(self._disk, self._folder, reading)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def read_policy(data: bytes) -> Policy:
    """Return what a boot's policy file says; one that is damaged may have said the weakest."""
    try:
        found = msgspec.json.decode(data, type=Policy)
    except msgspec.MsgspecError:
        return Policy("best_effort", 0)
    if found.version > POLICY_VERSION:
        remedy = "install that version of Mainspring"
        raise Damaged("was written by a newer version", field="spool", value=found.version, remedy=remedy)
    return found


def _policy(disk: Disk, folder: Path) -> Policy:
    try:
        return read_policy(disk.read(folder / POLICY))
    except NotFound:  # of a boot before policies were written down, when this was the default
        return Policy("batched", 5)


def _ended(disk: Disk, folder: Path) -> bool:
    lock = disk.lock(folder / LOCK)
    if lock is None:
        return False
    lock.release()
    return True
