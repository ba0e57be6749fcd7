"""A Kafka topic in the spool's place: gateways produce, control consumes, and our own store remembers how far.

A message is one set of records, framed and checked like a group of a segment, under its boot as key, with the number
of the set in that boot and the policy as headers. Boots keep their order within a partition. Offsets live in the
metadata store, in the transaction that lists the parts; a set that was produced twice is told by its number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, InvalidInput, Unavailable
from mainspring.log.frame import encode_group, encode_set, read_groups
from mainspring.log.records import Record, Stopped
from mainspring.log.segments import Damage, Position, Reading
from mainspring.log.spool import Acknowledgement, Policy
from mainspring.log.waiters import Waiters

PARTITIONS = 4
STALLED_S = 2.0  # nothing was delivered for so long though something waits: callers are refused
MOST_WAITING_BYTES = 64 * 1_024 * 1_024
MOST_MESSAGE_BYTES = 80 * 1_024 * 1_024  # brokers take 1 MiB unless told otherwise: less than a body may have
_POLL_S = 0.02
_READ_S = 0.05
_MESSAGES = 2_000
_OFFSETS = "kafka:"  # what the position of a partition is kept under
_decode_policy = msgspec.json.Decoder(Policy).decode


class Place(NamedTuple):
    """``kafka://host:port,host:port/topic``."""

    servers: str
    topic: str


def place_of(url: str) -> Place:
    """Return servers and topic of a URL.

    >>> place_of("kafka://127.0.0.1:9092/predictions")
    Place(servers='127.0.0.1:9092', topic='predictions')
    """
    scheme, _, rest = url.partition("://")
    servers, _, topic = rest.partition("/")
    if scheme != "kafka" or not servers or not topic or "/" in topic:
        remedy = "write kafka://host:port/topic"
        raise InvalidInput("is not where a spool can be", field="spool", value=url, remedy=remedy)
    return Place(servers, topic)


class KafkaSpool:
    """The writing side: one producer per boot. Threads may share it.

    While the broker does not take messages, what was taken is kept and tried again, and nothing more is taken.
    """

    def __init__(
        self, place: Place, boot: str, acknowledgement: Acknowledgement = "batched", *, batch_ms: int = 5
    ) -> None:
        from confluent_kafka import Producer

        self._topic = place.topic
        self._boot = boot
        self._policy = Policy(acknowledgement, batch_ms)
        self._headers = [("policy", msgspec.json.encode(self._policy))]
        firm = acknowledgement != "best_effort"
        self._producer = Producer(
            {
                "bootstrap.servers": place.servers,
                "client.id": boot,
                "enable.idempotence": firm,
                "acks": "all" if firm else "1",
                "linger.ms": 0 if acknowledgement == "durable" else batch_ms,
                "message.timeout.ms": 0,  # kept and tried until the broker is back
                "message.max.bytes": MOST_MESSAGE_BYTES,
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": "murmur2_random",
                "error_cb": self._note_error,
                "logger": _quiet(),
            }
        )
        self._turn = threading.Lock()
        self._waiters = Waiters(lambda: self._delivered)
        self._appended = self._delivered = self._waiting_bytes = self._refused = 0
        self._moved_s = monotonic()
        self._stopped_s: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()

    @property
    def acknowledgement(self) -> Acknowledgement:
        return self._policy.acknowledgement

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    @property
    def failing_s(self) -> float:
        return 0.0 if self._stopped_s is None else monotonic() - self._stopped_s

    def append(self, *records: Record) -> None:
        if self._waiters.failure is not None:
            self._refused += 1
            raise self._waiters.failure
        if self._closing:
            raise Unavailable("the spool is closed", field="spool")
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise Unavailable("the broker is slower than the requests", field="spool", remedy="try again in a second")
        self._produce(records)

    def append_later(self, make: Callable[[], Sequence[Record]], about_bytes: int) -> None:
        self.append(*make())

    def _produce(self, records: Sequence[Record]) -> None:
        data = encode_group([encode_set(records)], len(records))
        with self._turn:  # the numbers of sets are in the order of the producer's queue
            headers: list[tuple[str, str | bytes | None]] = [*self._headers, ("set", str(self._appended + 1).encode())]
            try:
                self._producer.produce(self._topic, data, self._boot, headers=headers, on_delivery=self._arrived)
            except BufferError:
                raise Unavailable("the broker is slower than the requests", field="spool") from None
            if self._appended == self._delivered:
                self._moved_s = monotonic()
            self._appended += 1
            self._waiting_bytes += len(data)

    async def durable(self) -> None:
        if self.acknowledgement != "durable":
            return
        await self._waiters.until(self._appended)

    def flush(self, timeout_s: float = 30.0) -> None:
        late = Unavailable("the broker did not answer in time", field="spool", remedy="look at the broker")
        self._waiters.block(self._appended, timeout_s, late)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        left = self._producer.flush(10.0)
        self._thread.join()
        if left:
            self._producer.purge()
            raise Unavailable(f"the broker did not take {left} sets of records", field="spool", remedy="look at it")

    def _run(self) -> None:
        while not self._closing:
            self._producer.poll(_POLL_S)
            stalled = self._appended > self._delivered and monotonic() - self._moved_s > STALLED_S
            if stalled and self._waiters.failure is None:
                self._stopped_s = self._moved_s
                why = "the broker does not take records"
                self._waiters.tell(Unavailable(why, field="spool", remedy="look at the broker"))
        self._producer.poll(0)

    def _arrived(self, error: Any, message: Any) -> None:
        if error is not None:
            self._stopped_s = self._stopped_s or monotonic()
            self._waiters.tell(Unavailable("the broker refused a record", field="spool", value=str(error)))
            return
        self._delivered += 1
        self._waiting_bytes -= len(message.value() or b"")
        self._moved_s = monotonic()
        reached("kafka.delivered")
        if self._waiters.failure is not None and self._stopped_s is not None:
            lasted_ms = round((monotonic() - self._stopped_s) * 1_000)
            why, self._waiters.failure, self._stopped_s = self._waiters.failure.sentence(), None, None
            refused, self._refused = self._refused, 0
            self._produce([Stopped(self._boot, why, lasted_ms, refused)])
        self._waiters.tell(None)

    def _note_error(self, error: Any) -> None:
        if error.fatal():
            self._stopped_s = self._stopped_s or monotonic()
            self._waiters.tell(Unavailable("the broker ended this producer", field="spool", value=str(error)))


class KafkaReader:
    """The reading side, for control alone: by partition and offset, without a group."""

    def __init__(self, place: Place) -> None:
        from confluent_kafka import Consumer

        self._place = place
        self._consumer = Consumer(
            {
                "bootstrap.servers": place.servers,
                "group.id": "mainspring",  # asked for by the client; nothing is ever committed to it
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "logger": _quiet(),
            }
        )
        self._next: dict[int, int] = {}
        self._damaged: dict[Damage, bytes] = {}

    def read(self, at: Mapping[str, Position], most_records: int) -> list[Reading]:
        """Return what partitions hold after ``at``, each set once, and how far each partition and boot is then."""
        self._seek(at)
        taken = _Taken(at)
        while taken.count < most_records:
            messages = self._consumer.consume(_MESSAGES, _READ_S)
            for message in messages:
                self._take(message, taken)
            if len(messages) < _MESSAGES:
                break
        self._damaged |= taken.damaged
        return taken.readings()

    def raw(self, damage: Damage) -> bytes:
        """Return the bytes of a damaged message."""
        return self._damaged.pop(damage, b"")

    def clean(self, readings: Sequence[Reading]) -> None:
        """Do nothing: the broker keeps messages as long as its topic says."""

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _take(self, message: Any, taken: _Taken) -> None:
        if message.error() is not None:
            raise Unavailable("the broker cannot be read", field="spool", value=str(message.error()))
        partition, offset = message.partition(), message.offset()
        self._next[partition] = offset + 1
        taken.positions[partition] = offset + 1
        headers = dict(message.headers() or ())
        boot, data = (message.key() or b"").decode(errors="replace"), message.value() or b""
        try:
            scan = read_groups(data)
            number, policy = int(headers["set"]), _decode_policy(headers["policy"])
        except (KeyError, ValueError, msgspec.MsgspecError, Damaged):
            scan = None
        if scan is None or scan.rest != "nothing" or not scan.records:
            damage = Damage(f"{_OFFSETS}{partition}".replace(":", "-"), partition, offset, len(data))
            taken.damaged[damage] = data
            return
        taken.add(boot, number, policy, scan.records, partition)

    def _seek(self, at: Mapping[str, Position]) -> None:
        """Stand where the store says: at first, and after rows that were read could not be stored."""
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        wanted = {partition: position.offset for name, position in at.items() if (partition := _partition(name)) >= 0}
        if self._next and all(self._next.get(partition, 0) == offset for partition, offset in wanted.items()):
            return
        partitions = self._partitions()
        self._next = {partition: wanted.get(partition, 0) for partition in partitions}
        self._consumer.assign(
            [
                TopicPartition(self._place.topic, partition, offset or OFFSET_BEGINNING)
                for partition, offset in self._next.items()
            ]
        )

    def _partitions(self) -> list[int]:
        """Return the topic's partitions; make the topic if there is none."""
        from confluent_kafka import KafkaException

        try:
            make_topic(self._place)
            found = self._consumer.list_topics(self._place.topic, timeout=10).topics[self._place.topic]
        except KafkaException as error:
            raise Unavailable("the broker cannot be reached", field="spool", value=str(error)) from error
        return sorted(found.partitions)


class _Taken:
    """What one reading has gathered."""

    def __init__(self, at: Mapping[str, Position]) -> None:
        self._at = at
        self._records: dict[int, list[Record]] = {}
        self._boots: dict[str, tuple[Position, Policy]] = {}
        self.positions: dict[int, int] = {}
        self.damaged: dict[Damage, bytes] = {}
        self.count = 0

    def add(self, boot: str, number: int, policy: Policy, records: Sequence[Record], partition: int) -> None:
        """Add a set, unless it was there already; sets that are missing before it are told of."""
        before = self._boots[boot][0] if boot in self._boots else self._at.get(boot, Position(partition, 0))
        if number <= before.offset:
            return
        mine = self._records.setdefault(partition, [])
        if number > before.offset + 1:
            missing = number - before.offset - 1
            mine.append(Stopped(boot, f"{missing} sets of records are missing: the broker has lost them", 0, missing))
        mine.extend(records)
        self.count += len(records)
        self._boots[boot] = Position(partition, number), policy

    def readings(self) -> list[Reading]:
        """Return a reading for each partition that was read, and one without records for each boot."""
        parts = [
            Reading(
                f"{_OFFSETS}{partition}",
                tuple(self._records.get(partition, ())),
                Position(0, offset),
                (),
                ended=False,
                damage=tuple(one for one in self.damaged if one.segment == partition),
                policy=None,
            )
            for partition, offset in self.positions.items()
        ]
        boots = [
            Reading(boot, (), position, (), ended=False, policy=policy)
            for boot, (position, policy) in self._boots.items()
        ]
        return [*parts, *boots]


def make_topic(place: Place) -> None:
    """Make the topic unless there is one, with partitions to write to side by side, for messages as large as ours."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": place.servers, "logger": _quiet()})
    if place.topic in admin.list_topics(timeout=10).topics:
        return
    config = {"max.message.bytes": str(MOST_MESSAGE_BYTES)}
    for made in admin.create_topics([NewTopic(place.topic, num_partitions=PARTITIONS, config=config)]).values():
        with suppress(KafkaException):  # another process made it just now
            made.result(10)


def _partition(name: str) -> int:
    return int(name.removeprefix(_OFFSETS)) if name.startswith(_OFFSETS) else -1


def _quiet() -> Any:
    """Return a logger for the client's own lines: a broker that is away is told by us, once."""
    import logging

    quiet = logging.getLogger("mainspring.kafka")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return quiet
