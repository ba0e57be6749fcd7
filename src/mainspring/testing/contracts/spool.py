"""What every spool must do between the side that gateways write and the side that control reads."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Protocol

import pytest

from mainspring.kernel.errors import Conflict, Unavailable
from mainspring.log.ports import Disk, Spool, SpoolReader
from mainspring.log.records import Outcomes, Record
from mainspring.log.segments import Position, Reading, read_boot
from mainspring.log.spool import Acknowledgement, SpoolWriter

WAIT_S = 20.0


class Spools(Protocol):
    """Opens both sides of one spool."""

    def writer(self, boot: str, policy: Acknowledgement) -> Spool:
        """Open the writing side for a boot."""
        ...

    def reader(self) -> SpoolReader:
        """Open the reading side."""
        ...


def outcome(number: int) -> Record:
    """Return a small record that tells its number."""
    return Outcomes("prj_1", "mod_1", (str(number),), (1.0,), (number,), (number,))


def _two(number: int) -> tuple[Record, Record]:
    return outcome(number), outcome(1_000 + number)


class SpoolContract:
    """Subclass it with a fixture ``place`` whose ``writer(boot, policy)`` and ``reader()`` open an empty spool anew."""

    def read(self, place: Spools, at: dict[str, Position], wanted: int, most: int = 10_000) -> list[Record]:
        """Read until so many records are there, and move the positions as a commit would."""
        reader = place.reader()
        try:
            found: list[Record] = []
            end_s = monotonic() + WAIT_S
            while len(found) < wanted and monotonic() < end_s:
                for reading in reader.read(at, most):
                    at[reading.boot] = reading.position
                    found += reading.records
            return found
        finally:
            reader.close()

    @pytest.mark.parametrize("policy", ["durable", "batched", "best_effort"])
    def test_what_is_flushed_is_read_in_order(self, place: Spools, policy: Acknowledgement) -> None:
        writer = place.writer("b_1", policy)
        assert writer.acknowledgement == policy
        records = [outcome(number) for number in range(100)]
        for record in records:
            writer.append(record)
        writer.flush()
        assert self.read(place, {}, 100) == records
        assert (writer.waiting_bytes, writer.failing_s) == (0, 0.0)
        writer.close()

    def test_another_reader_goes_on_where_the_positions_say(self, place: Spools) -> None:
        writer, at = place.writer("b_1", "batched"), dict[str, Position]()
        writer.append(outcome(1))
        writer.flush()
        assert self.read(place, at, 1) == [outcome(1)]
        writer.append(outcome(2))
        writer.close()
        assert self.read(place, at, 1) == [outcome(2)]

    def test_what_was_read_and_not_committed_is_read_again(self, place: Spools) -> None:
        writer = place.writer("b_1", "batched")
        writer.append(outcome(1))
        writer.close()
        assert self.read(place, {}, 1) == self.read(place, {}, 1) == [outcome(1)]

    def test_records_of_one_append_come_together(self, place: Spools) -> None:
        writer = place.writer("b_1", "batched")
        for number in range(20):
            if number % 2:
                writer.append(outcome(number), outcome(1_000 + number))
            else:
                writer.append_later(partial(_two, number), 100)
        writer.close()
        found = self.read(place, {}, 40)
        assert found == [outcome(n) for number in range(20) for n in (number, 1_000 + number)]

    def test_boots_that_write_side_by_side_keep_their_own_order(self, place: Spools) -> None:
        writers = [place.writer(f"b_{number}", "batched") for number in range(3)]
        for number in range(30):
            writers[number % 3].append(outcome(number))
        for writer in writers:
            writer.close()
        found = self.read(place, {}, 30)
        for first in range(3):
            assert [one for one in found if one in map(outcome, range(first, 30, 3))] == [
                outcome(number) for number in range(first, 30, 3)
            ]

    def test_durable_returns_once_another_process_could_read_it(self, place: Spools) -> None:
        writer = place.writer("b_1", "durable")

        async def append_and_wait() -> list[Record]:
            writer.append(outcome(1))
            await writer.durable()
            return self.read(place, {}, 1)

        assert asyncio.run(append_and_wait()) == [outcome(1)]
        writer.close()

    @pytest.mark.parametrize("policy", ["durable", "batched", "best_effort"])
    def test_the_policy_of_each_boot_is_told(self, place: Spools, policy: Acknowledgement) -> None:
        writer = place.writer("b_1", policy)
        writer.append(outcome(1))
        writer.flush()
        reader, end_s = place.reader(), monotonic() + WAIT_S
        told: dict[str, str] = {}
        while "b_1" not in told and monotonic() < end_s:
            told |= {one.boot: one.policy.acknowledgement for one in reader.read({}, 10) if one.policy is not None}
        assert told["b_1"] == policy
        reader.close()
        writer.close()

    def test_a_closed_spool_takes_nothing(self, place: Spools) -> None:
        writer = place.writer("b_1", "batched")
        writer.close()
        with pytest.raises(Unavailable):
            writer.append(outcome(1))


class SegmentsContract:
    """What segments in a folder must do; subclass it with ``disk`` and ``spool`` (an empty folder on it)."""

    def read(self, disk: Disk, spool: Path, at: Position | None = None, most: int = 10_000) -> Reading:
        return read_boot(disk, spool, "b_1", {"b_1": at} if at else {}, most)

    def test_rotation_loses_nothing_and_only_full_segments_are_spent(self, disk: Disk, spool: Path) -> None:
        writer = SpoolWriter(spool, "b_1", disk, rotate_bytes=200)
        for number in range(30):
            writer.append(outcome(number))
            writer.flush()
        reading = self.read(disk, spool)
        assert list(reading.records) == [outcome(number) for number in range(30)]
        assert len(reading.spent) >= 2
        assert reading.position.segment == reading.spent[-1] + 1
        writer.close()

    def test_a_boot_has_ended_once_its_writer_is_closed(self, disk: Disk, spool: Path) -> None:
        writer = SpoolWriter(spool, "b_1", disk)
        assert not self.read(disk, spool).ended
        writer.close()
        assert self.read(disk, spool).ended

    def test_no_boot_writes_twice(self, disk: Disk, spool: Path) -> None:
        SpoolWriter(spool, "b_1", disk).close()
        with pytest.raises(Conflict):
            SpoolWriter(spool, "b_1", disk)
