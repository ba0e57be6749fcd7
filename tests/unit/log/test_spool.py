import asyncio
from time import monotonic, sleep

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.log.segments import read_boot
from mainspring.log.spool import SpoolWriter
from mainspring.testing.disk import FaultyDisk
from mainspring.testing.logs import outcome


def wait_until(true, limit_s=5.0):
    end = monotonic() + limit_s
    while not true():
        assert monotonic() < end
        sleep(0.005)


def entities(spool, disk):
    return [entity for record in read_boot(disk, spool, "b_1", {}, 10_000).records for entity in record.entities]


def test_a_full_disk_is_said_and_nothing_is_lost_once_there_is_space(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk)
    with disk.full():
        writer.append(outcome("taken", 1.0, 1))
        with pytest.raises(Unavailable, match="disk is full"):
            writer.flush()
        with pytest.raises(Unavailable, match="disk is full"):
            writer.append(outcome("refused", 1.0, 1))
    wait_until(lambda: entities(tmp_path, disk) == ["taken"])
    wait_until(lambda: _takes(writer, "after"))
    writer.close()
    assert entities(tmp_path, disk) == ["taken", "after"]


def _takes(writer, entity):
    try:
        writer.append(outcome(entity, 1.0, 1))
    except Unavailable:
        return False
    return True


def test_a_caller_that_waits_for_a_full_disk_is_told(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk, "durable")

    async def wait():
        writer.append(outcome("e", 1.0, 1))
        await writer.durable()

    with disk.full(), pytest.raises(Unavailable, match="disk is full"):
        asyncio.run(wait())
    wait_until(lambda: entities(tmp_path, disk) == ["e"])
    writer.close()


def test_closing_on_a_full_disk_says_that_records_are_lost(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk)
    with disk.full():
        writer.append(outcome("e", 1.0, 1))
        with pytest.raises(Unavailable):
            writer.close()


@pytest.mark.parametrize("policy", ["batched", "best_effort"])
def test_other_policies_do_not_wait(tmp_path, policy):
    writer = SpoolWriter(tmp_path, "b_1", LocalDisk(), policy)

    async def wait():
        writer.append(outcome("e", 1.0, 1))
        await asyncio.wait_for(writer.durable(), 0.001)

    asyncio.run(wait())
    writer.close()


@pytest.mark.parametrize("boot", ["", ".hidden", "a/b"])
def test_a_boot_that_is_no_file_name_is_refused(tmp_path, boot):
    with pytest.raises(InvalidInput):
        SpoolWriter(tmp_path, boot, LocalDisk())
