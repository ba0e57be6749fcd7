"""What a Kafka writer does when the broker refuses, is away or forgets: it stops aloud, goes on, and loses nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.streams.kafka.place import place_of
from mainspring.adapters.streams.kafka.reader import KafkaReader
from mainspring.adapters.streams.kafka.topic import make_topic
from mainspring.adapters.streams.kafka.writer import KafkaSpool
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.ledger.queries import entries
from mainspring.log.records import Outcomes, Record, Stopped
from mainspring.log.segments import Position
from mainspring.testing.logs import LogBench

LIMIT_S = 60.0


class Topic:
    """A topic at a real broker, and what an operator does to it."""

    def __init__(self, url: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.place = place_of(url)
        self._admin = AdminClient({"bootstrap.servers": self.place.servers, "log_level": 0})
        make_topic(self.place)

    def takes(self, most_bytes: int) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

        entry = ConfigEntry("max.message.bytes", str(most_bytes), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.place.topic, incremental_configs=[entry])
        (done,) = self._admin.incremental_alter_configs([resource]).values()
        done.result(30)

    def grows(self, partitions: int) -> None:
        from confluent_kafka.cimpl import NewPartitions

        (done,) = self._admin.create_partitions([NewPartitions(self.place.topic, partitions)]).values()
        done.result(30)

    def deleted(self) -> None:
        (done,) = self._admin.delete_topics([self.place.topic]).values()
        done.result(30)

    def read(self, count: int) -> list[Record]:
        reader, found, at = KafkaReader(self.place), list[Record](), dict[str, Position]()
        until_s = time.monotonic() + LIMIT_S
        while len(found) < count and time.monotonic() < until_s:
            for reading in reader.read(at, 10_000):
                at[reading.boot] = reading.position
                found += reading.records
        reader.close()
        return found


@pytest.fixture
def topic(new_topic: str) -> Topic:
    return Topic(new_topic)


@pytest.fixture
def writer(topic: Topic) -> Iterator[KafkaSpool]:
    made = KafkaSpool(topic.place, "b_1", "durable")
    yield made
    with suppress(Unavailable):
        made.close()


def outcome(number: int, length: int = 0) -> Outcomes:
    return Outcomes("prj_1", "mod_1", (str(number).rjust(length, "0"),), (1.0,), (number,), (number,))


def numbers(records: list[Record]) -> list[int]:
    return [one.event_us[0] for one in records if isinstance(one, Outcomes)]


def wait(condition: Callable[[], Any]) -> None:
    until_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_what_the_broker_refuses_stops_the_writer_aloud_and_is_kept_until_it_is_taken(
    topic: Topic, writer: KafkaSpool
) -> None:
    writer.append(outcome(1))
    writer.flush(LIMIT_S)
    topic.takes(2_000)
    writer.append(outcome(2, 4_000))
    with pytest.raises(Unavailable, match=r"the broker refuses records .*MSG_SIZE_TOO_LARGE"):
        writer.flush(LIMIT_S)
    with pytest.raises(Unavailable, match="the broker refuses records"):
        writer.append(outcome(3))
    assert writer.failing_s > 0
    topic.takes(80 * 1_024 * 1_024)
    wait(lambda: writer.failing_s == 0)
    writer.append(outcome(4))
    writer.flush(LIMIT_S)
    found = topic.read(4)
    assert numbers(found) == [1, 2, 4]
    (stop,) = [one for one in found if isinstance(one, Stopped)]
    assert (stop.boot, stop.refused) == ("b_1", 1)
    assert "the broker refuses records" in stop.why


def test_a_topic_that_is_deleted_stops_the_writer_until_there_is_one_again(topic: Topic, writer: KafkaSpool) -> None:
    writer.append(outcome(1))
    writer.flush(LIMIT_S)
    topic.deleted()
    writer.append(outcome(2))
    with pytest.raises(Unavailable):
        writer.flush(LIMIT_S)
    with pytest.raises(Unavailable):
        writer.append(outcome(3))
    make_topic(topic.place)
    wait(lambda: writer.failing_s == 0)
    writer.append(outcome(4))
    writer.flush(LIMIT_S)
    found = topic.read(3)
    assert numbers(found) == [2, 4]
    whys = [one.why for one in found if isinstance(one, Stopped)]
    assert any("1 messages are missing" in why for why in whys)
    assert any("the broker does not take records" in why or "refuses" in why for why in whys)


def test_a_piece_longer_than_the_topic_takes_is_refused_before_it_is_taken(topic: Topic) -> None:
    topic.takes(100_000)
    writer = KafkaSpool(topic.place, "b_1", "batched")
    with pytest.raises(InvalidInput, match="more than the log takes in one piece"):
        writer.append(outcome(1, 100_000))
    writer.append(outcome(2, 90_000))
    writer.close()
    assert numbers(topic.read(1)) == [2]


def test_many_small_ones_fit_a_broker_that_was_never_set_up_for_us(topic: Topic) -> None:
    topic.takes(1_000_000)
    writer = KafkaSpool(topic.place, "b_1", "batched")
    threads = [
        threading.Thread(target=lambda first=first: [writer.append(outcome(n, 9_000)) for n in range(first, 400, 4)])
        for first in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(numbers(topic.read(400))) == list(range(400))


def test_what_was_read_first_and_could_not_be_stored_is_read_again(topic: Topic, writer: KafkaSpool) -> None:
    for number in (1, 2, 3):
        writer.append(outcome(number))
    writer.flush(LIMIT_S)
    reader, found = KafkaReader(topic.place), list[list[int]]()
    until_s = time.monotonic() + LIMIT_S
    while len(found) < 2 and time.monotonic() < until_s:
        read = [record for reading in reader.read({}, 10_000) for record in reading.records]
        if read:
            found.append(numbers(read))
    reader.close()
    assert found == [[1, 2, 3], [1, 2, 3]]


def test_a_set_that_is_made_longer_than_the_topic_takes_is_its_callers_fault_and_stops_nobody_else(
    topic: Topic,
) -> None:
    topic.takes(100_000)
    writer = KafkaSpool(topic.place, "b_1", "durable")

    async def ask() -> None:
        long = writer.append_later(lambda: [outcome(1, 200_000)], 500)
        short = writer.append(outcome(2))
        with pytest.raises(InvalidInput, match="more than the log takes in one piece"):
            await writer.durable(long)
        await writer.durable(short)

    asyncio.run(ask())
    writer.close()
    found = topic.read(2)
    assert numbers(found) == [2]
    (stop,) = [one for one in found if isinstance(one, Stopped)]
    assert "more than the log takes in one piece" in stop.why


def test_partitions_that_are_added_are_read_without_a_restart_and_no_boot_moves_to_them(
    topic: Topic, writer: KafkaSpool
) -> None:
    reader, found, at = KafkaReader(topic.place, follow_s=0.0), list[int](), dict[str, Position]()

    def read() -> list[int]:
        for reading in reader.read(at, 10_000):
            at[reading.boot] = reading.position
            found.extend(numbers(list(reading.records)))
        return found

    writer.append(outcome(1))
    writer.flush(LIMIT_S)
    wait(lambda: read() == [1])
    (own,) = [name for name, position in at.items() if name.startswith("kafka:") and position.offset]
    topic.grows(64)
    writer.append(outcome(2))
    writer.flush(LIMIT_S)
    wait(lambda: read() == [1, 2])
    assert at[own].offset == 2
    for number in range(8):
        boot = KafkaSpool(topic.place, f"b_new{number}", "durable")
        boot.append(outcome(10 + number))
        boot.close()
    wait(lambda: len(read()) == 10)
    assert sorted(found) == [1, 2, 10, 11, 12, 13, 14, 15, 16, 17]
    written = {int(name.removeprefix("kafka:")) for name, position in at.items() if name.startswith("kafka:")}
    assert max(written) >= 4, "some boot writes to a partition that is new"
    assert not reader.read(at, 10_000)
    reader.close()


def test_each_message_that_is_no_group_is_kept_by_itself_and_told(
    topic: Topic, writer: KafkaSpool, tmp_path: Path
) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": topic.place.servers})
    for said in (b"first", b"second"):
        producer.produce(topic.place.topic, said, "b_stranger", 0)
    producer.flush(LIMIT_S)
    writer.append(outcome(1))
    writer.flush(LIMIT_S)
    bench = LogBench(tmp_path)
    ingest, found = bench.new_ingest(reader=KafkaReader(topic.place)), list[str]()
    wait(lambda: found.extend(ingest.run().damaged) or (len(found) == 2 and bench.log.counts()["outcomes"] == 1))
    kept = bench.spool / "quarantine"
    assert {(kept / name).read_bytes() for name in bench.disk.list(kept)} == {b"first", b"second"}
    with bench.store.read() as connection:
        assert sorted(entry.subject for entry in entries(connection, kind="log.damaged")) == sorted(found)
    ingest.close()
    bench.close()
