import asyncio
from contextlib import suppress
from time import monotonic, sleep

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.log.records import Outcomes, Stopped
from mainspring.log.segments import read_boot
from mainspring.log.spool import Policy, SpoolWriter
from mainspring.testing.disk import FaultyDisk
from mainspring.testing.logs import assignment, outcome, request


def wait_until(true, limit_s=5.0):
    end = monotonic() + limit_s
    while not true():
        assert monotonic() < end
        sleep(0.005)


def entities(spool, disk):
    read = read_boot(disk, spool, "b_1", {}, 10_000).records
    return [entity for record in read if isinstance(record, Outcomes) for entity in record.entities]


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


def test_records_appended_together_are_there_together_however_full_the_disk_gets(tmp_path):
    for writes in range(6):
        disk = FaultyDisk(LocalDisk())
        writer = SpoolWriter(tmp_path / str(writes), "b_1", disk, "durable", batch_ms=0)
        with disk.full(after_writes=writes):
            for number in range(1, 30):
                try:
                    writer.append(request(number), assignment(number))
                except Unavailable:
                    break
                wait_until(lambda writer=writer: not writer.waiting_bytes or writer.failing_s)
            with suppress(Unavailable):
                writer.close()
        read = read_boot(disk, tmp_path / str(writes), "b_1", {}, 10_000).records
        kinds = [type(record).__name__ for record in read]
        assert kinds == ["Request", "Assignment"] * writes


def test_a_stop_is_told_in_the_log_once_there_is_space_again(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk)
    with disk.full():
        writer.append(outcome("taken", 1.0, 1))
        wait_until(lambda: writer.failing_s > 0)
        for _ in range(3):
            with pytest.raises(Unavailable):
                writer.append(outcome("refused", 1.0, 1))
    wait_until(lambda: writer.failing_s == 0)
    writer.close()
    (told,) = [one for one in read_boot(disk, tmp_path, "b_1", {}, 100).records if isinstance(one, Stopped)]
    assert (told.boot, told.refused) == ("b_1", 3)
    assert "disk is full" in told.why
    assert told.lasted_ms >= 0


@pytest.mark.parametrize("policy", ["durable", "batched", "best_effort"])
def test_a_boot_says_under_which_policy_it_acknowledges(tmp_path, policy):
    writer = SpoolWriter(tmp_path, "b_1", LocalDisk(), policy, batch_ms=7)
    assert read_boot(LocalDisk(), tmp_path, "b_1", {}, 10).policy == Policy(policy, 7)
    assert (tmp_path / "b_1" / "policy").read_bytes() == b'{"acknowledgement":"%s","batch_ms":7,"version":1}' % (
        policy.encode()
    )
    writer.close()


def test_records_that_are_made_later_stand_in_the_order_in_which_they_were_taken(tmp_path):
    disk = LocalDisk()
    writer = SpoolWriter(tmp_path, "b_1", disk)
    for number in range(0, 100, 2):
        writer.append_later(lambda number=number: [outcome(f"e{number}", 1.0, 1)], 100)
        writer.append(outcome(f"e{number + 1}", 1.0, 1))
    writer.close()
    assert entities(tmp_path, disk) == [f"e{number}" for number in range(100)]
    assert writer.waiting_bytes == 0


def test_a_record_that_cannot_be_made_is_told_and_takes_no_other_with_it(tmp_path, capfd):
    disk = LocalDisk()
    writer = SpoolWriter(tmp_path, "b_1", disk, "durable")

    async def wait():
        writer.append(outcome("before", 1.0, 1))
        writer.append_later(lambda: [outcome("\ud800", 1.0, 1)], 100)
        writer.append_later(lambda: [outcome("after", 1.0, 1)], 100)
        await writer.durable()

    asyncio.run(wait())
    writer.close()
    assert entities(tmp_path, disk) == ["before", "after"]
    assert "UnicodeEncodeError" in capfd.readouterr().err


def test_what_waits_to_be_made_counts_towards_what_may_wait(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk)
    with disk.full():
        writer.append_later(lambda: [outcome("a", 1.0, 1)], 100, held_bytes=65 << 20)
        wait_until(lambda: writer.failing_s > 0)
        assert writer.waiting_bytes >= 65 << 20
    wait_until(lambda: _takes(writer, "b"))
    writer.close()
    assert entities(tmp_path, disk) == ["a", "b"]


def test_only_the_caller_whose_records_cannot_be_made_is_told_so(tmp_path, capsys):
    writer = SpoolWriter(tmp_path, "b_1", LocalDisk(), "durable")

    async def ask():
        broken = writer.append_later(lambda: [1 / 0], 100)
        whole = writer.append(outcome("e", 1.0, 1))
        with pytest.raises(Unavailable, match="could not be written to the log"):
            await writer.durable(broken)
        await writer.durable(whole)
        await writer.durable()

    asyncio.run(ask())
    writer.close()
    assert entities(tmp_path, LocalDisk()) == ["e"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_was_kept_before_a_disk_was_full_is_not_said_to_be_lost(tmp_path):
    disk = FaultyDisk(LocalDisk())
    writer = SpoolWriter(tmp_path, "b_1", disk, "durable")

    async def ask():
        before = writer.append(outcome("before", 1.0, 1))
        await writer.durable(before)
        with disk.full():
            after = writer.append(outcome("after", 1.0, 1))
            with pytest.raises(Unavailable, match="disk is full"):
                await writer.durable(after)
            await writer.durable(before)

    asyncio.run(ask())
    wait_until(lambda: entities(tmp_path, disk) == ["before", "after"])
    writer.close()


def test_a_set_longer_than_a_group_can_be_is_refused_before_or_after_it_is_made_and_never_read_as_damage(tmp_path):
    disk = LocalDisk()
    writer = SpoolWriter(tmp_path, "b_1", disk, "durable")
    long = Outcomes("prj_1", "mod_1", ("x" * 64 * 1_024 * 1_024,), (1.0,), (1,), (1,))
    with pytest.raises(InvalidInput, match="more than the log takes in one piece"):
        writer.append(long)

    async def ask():
        number = writer.append_later(lambda: [long], 500)
        after = writer.append(outcome("after", 1.0, 1))
        with pytest.raises(InvalidInput, match="more than the log takes in one piece"):
            await writer.durable(number)
        await writer.durable(after)

    asyncio.run(ask())
    writer.close()
    reading = read_boot(disk, tmp_path, "b_1", {}, 10_000)
    assert (entities(tmp_path, disk), reading.damage, reading.torn_bytes) == (["after"], (), 0)
