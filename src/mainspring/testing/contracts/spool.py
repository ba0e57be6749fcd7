"""What every spool must do between a writer and the reader of its segments."""

# ruff: noqa: S101 - a contract is a test

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mainspring.kernel.errors import Conflict, Unavailable
from mainspring.log.ports import Disk
from mainspring.log.records import Outcomes, Record
from mainspring.log.segments import Position, Reading, read_boot
from mainspring.log.spool import Acknowledgement, SpoolWriter


def outcome(number: int) -> Record:
    """Return a small record that tells its number."""
    return Outcomes("prj_1", "mod_1", (str(number),), (1.0,), (number,), (number,))


class SpoolContract:
    """Subclass it with fixtures ``disk`` (a ``Disk``) and ``spool`` (an empty folder on it)."""

    def read(self, disk: Disk, spool: Path, at: Position | None = None, most: int = 10_000) -> Reading:
        return read_boot(disk, spool, "b_1", {"b_1": at} if at else {}, most)

    @pytest.mark.parametrize("policy", ["durable", "batched", "best_effort"])
    def test_what_is_flushed_can_be_read_in_order(self, disk: Disk, spool: Path, policy: Acknowledgement) -> None:
        writer = SpoolWriter(spool, "b_1", disk, policy)
        records = [outcome(number) for number in range(100)]
        for record in records:
            writer.append(record)
        writer.flush()
        assert list(self.read(disk, spool).records) == records
        writer.close()

    def test_reading_goes_on_where_it_left_off(self, disk: Disk, spool: Path) -> None:
        writer = SpoolWriter(spool, "b_1", disk)
        writer.append(outcome(1))
        writer.flush()
        first = self.read(disk, spool)
        writer.append(outcome(2))
        writer.close()
        assert self.read(disk, spool, first.position).records == (outcome(2),)

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

    def test_durable_returns_once_the_group_is_on_disk(self, disk: Disk, spool: Path) -> None:
        writer = SpoolWriter(spool, "b_1", disk, "durable")

        async def append_and_wait() -> int:
            writer.append(outcome(1))
            await writer.durable()
            return len(self.read(disk, spool).records)

        assert asyncio.run(append_and_wait()) == 1
        writer.close()

    def test_no_boot_writes_twice(self, disk: Disk, spool: Path) -> None:
        SpoolWriter(spool, "b_1", disk).close()
        with pytest.raises(Conflict):
            SpoolWriter(spool, "b_1", disk)

    def test_a_closed_spool_takes_nothing(self, disk: Disk, spool: Path) -> None:
        writer = SpoolWriter(spool, "b_1", disk)
        writer.close()
        with pytest.raises(Unavailable):
            writer.append(outcome(1))
