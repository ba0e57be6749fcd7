"""A Kafka topic in the spool's place: gateways produce, control consumes, and our own store remembers how far.

A message is one group of records, framed and checked as in a segment, under its boot as key, with its number in that
boot (the header ``set``) and the policy. Boots keep their order within a partition. Offsets live in the metadata
store, in the transaction that lists the parts; a message that was produced twice is told by its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, InvalidInput, Unavailable
from mainspring.log.frame import read_groups
from mainspring.log.ports import Kept
from mainspring.log.records import Record, Stopped
from mainspring.log.segments import Damage, Position, Reading
from mainspring.log.spool import Acknowledgement, Policy, Writer

PARTITIONS = 4
STALLED_S = 2.0  # what was sent has not arrived for so long: callers are refused
RENEWED_S = 5.0  # and for so long: another producer tries, since a topic that was made anew knows nothing of this one
MOST_MESSAGE_BYTES = 80 * 1_024 * 1_024  # brokers take 1 MiB unless told otherwise: less than a body may have
GROUP_BYTES = 900 * 1_024  # what a broker takes where nobody set it up otherwise
_ENVELOPE_BYTES = 1_024  # what a message has around its group
_POLL_S = 0.02
_READ_S = 0.05
_ASKED_S = 3.0
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
    remedy = "write kafka://host:port/topic"
    if "@" in url:  # librdkafka would take it for a host, and print it
        raise InvalidInput("takes no user and no password", field="spool", remedy=remedy)
    if scheme != "kafka" or not servers or not topic or "/" in topic:
        raise InvalidInput("is not where a spool can be", field="spool", value=url, remedy=remedy)
    return Place(servers, topic)


class KafkaSpool(Writer):
    """The writing side: one producer per boot. Threads may share it.

    What the broker does not take, being away or refusing it, is kept and tried again, and nothing more is taken.
    """

    def __init__(
        self, place: Place, boot: str, acknowledgement: Acknowledgement = "batched", *, batch_ms: int = 5
    ) -> None:
        messages = _Messages(place, boot, Policy(acknowledgement, batch_ms))
        super().__init__(messages, boot, acknowledgement, batch_ms=batch_ms)


class _Flight:
    """One try to send the message at hand."""

    def __init__(self) -> None:
        self.began_s = monotonic()
        self.over = False
        self.error: Any = None

    def arrived(self, error: Any, _message: Any) -> None:
        self.over, self.error = True, error


class _Messages:
    """The messages of one boot, one under way at a time: so they are in order, and each number is there once.

    A message that was refused is sent again under its number, if need be by a new producer: whether an earlier try was
    stored after all does not matter, since a reader takes each number once.
    """

    patience_s = 10.0

    def __init__(self, place: Place, boot: str, policy: Policy) -> None:
        self._place = place
        self._boot = boot
        self._policy = policy
        self._number = 1  # of the message at hand
        self._flight: _Flight | None = None
        self._lost = False  # this producer sends nothing any more
        self._producer = self._opened()
        self.most_bytes = _longest(place)
        self.group_bytes = min(GROUP_BYTES, self.most_bytes)

    def write(self, group: bytes) -> None:
        """Return once the broker has the group; one that is under way already is only waited for."""
        flight = self._flight or self._send(group)
        until_s = monotonic() + STALLED_S
        while not flight.over and not self._lost and monotonic() < until_s:
            self._producer.poll(_POLL_S)
        if flight.over and flight.error is None:
            self._flight = None
            self._number += 1
            reached("kafka.delivered")
            return
        if flight.over or self._lost or monotonic() - flight.began_s > RENEWED_S:
            self._flight = None
            self._lost = self._lost or not flight.over
        if flight.error is None:
            raise Unavailable("the broker does not take records", field="spool", remedy="look at the broker")
        raise _refusal(flight.error)

    def sync(self) -> None:
        """Do nothing: what was delivered is kept as the policy asked for."""

    def close(self) -> None:
        """Let go of the broker."""
        _end(self._producer)

    def _send(self, group: bytes) -> _Flight:
        from confluent_kafka import KafkaException

        if self._lost:
            _end(self._producer)
            self._producer, self._lost = self._opened(), False
        flight = _Flight()
        headers = [("policy", msgspec.json.encode(self._policy)), ("set", str(self._number).encode())]
        try:
            self._producer.produce(self._place.topic, group, self._boot, headers=headers, on_delivery=flight.arrived)
        except (KafkaException, BufferError) as error:
            self._lost = True
            raise _refusal(error) from error
        self._flight = flight
        return flight

    def _opened(self) -> Any:
        from confluent_kafka import Producer

        firm = self._policy.acknowledgement != "best_effort"
        return Producer(
            {
                "bootstrap.servers": self._place.servers,
                "client.id": self._boot,
                "enable.idempotence": firm,
                "acks": "all" if firm else "1",
                "linger.ms": 0,  # it is a group already
                "message.timeout.ms": 0,  # kept and tried until the broker is back
                "message.max.bytes": MOST_MESSAGE_BYTES,
                "partitioner": "murmur2_random",
                "error_cb": self._note_error,
                "logger": _quiet(),
            }
        )

    def _note_error(self, error: Any) -> None:
        self._lost = self._lost or error.fatal()


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

    def drop(self, at: Mapping[str, Position], now_us: int) -> tuple[Kept, ...]:
        """Let the broker remove the messages before the positions; where it does not, say until when it keeps them."""
        from confluent_kafka import KafkaException, TopicPartition

        ends = {partition: position.offset for name, position in at.items() if (partition := _partition(name)) >= 0}
        if not ends:
            return ()
        admin = _admin(self._place)
        wanted = [TopicPartition(self._place.topic, partition, offset) for partition, offset in ends.items()]
        try:
            asked = admin.delete_records(wanted, request_timeout=_ASKED_S)
            for done in asked.values():
                done.result(2 * _ASKED_S)
        except (KafkaException, TimeoutError) as error:
            place, until_us = (
                f"kafka://{self._place.servers}/{self._place.topic}",
                kept_until(_setup(self._place), now_us),
            )
            return (Kept(place, until_us, str(error)),)
        reached("kafka.dropped")
        return ()

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
        # partitions that were read for the first time stand in no store yet: they are read again from their beginning
        if self._next and all(wanted.get(partition, 0) == offset for partition, offset in self._next.items()):
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
            mine.append(Stopped(boot, f"{missing} messages are missing: the broker has lost them", 0, missing))
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
    from confluent_kafka.cimpl import NewTopic

    admin = _admin(place)
    if place.topic in admin.list_topics(timeout=10).topics:
        return
    config = {"max.message.bytes": str(MOST_MESSAGE_BYTES)}
    for made in admin.create_topics([NewTopic(place.topic, num_partitions=PARTITIONS, config=config)]).values():
        with suppress(KafkaException):  # another process made it just now
            made.result(10)


def kept_until(setup: Mapping[str, str], now_us: int) -> int | None:
    """Return until when a topic keeps what it holds now; None where it may be for ever, or is not known.

    A segment goes whole, once its newest message is old enough and another segment was begun after it.

    >>> kept_until({"cleanup.policy": "delete", "retention.ms": "86400000", "segment.ms": "3600000"}, 0)
    90000000000
    >>> kept_until({"cleanup.policy": "compact", "retention.ms": "86400000", "segment.ms": "3600000"}, 0)
    >>> kept_until({"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "3600000"}, 0)
    """
    try:
        keeps_ms, rolls_ms = int(setup["retention.ms"]), int(setup["segment.ms"])
    except (KeyError, ValueError):
        return None
    if keeps_ms < 0 or "delete" not in setup.get("cleanup.policy", ""):
        return None
    return now_us + 1_000 * (keeps_ms + rolls_ms)


def _longest(place: Place) -> int:
    """Return how long a group may be as the topic is set up; without an answer, as we would have set it up."""
    found = int(_setup(place).get("max.message.bytes", MOST_MESSAGE_BYTES))
    return min(found, MOST_MESSAGE_BYTES) - _ENVELOPE_BYTES


def _setup(place: Place) -> dict[str, str]:
    """Return how a topic is set up; nothing where the broker does not say."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

    admin = _admin(place)  # it must live until it was answered
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, place.topic)], request_timeout=_ASKED_S)
    try:
        (told,) = asked.values()
        return {name: str(entry.value) for name, entry in told.result(2 * _ASKED_S).items()}
    except (KafkaException, TimeoutError):
        return {}


def _admin(place: Place) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": place.servers, "logger": _quiet()})


def _refusal(error: Any) -> Unavailable:
    remedy = "see to the topic at the broker; what was taken before waits, and is sent once the broker takes it"
    return Unavailable("the broker refuses records", field="spool", value=str(error), remedy=remedy)


def _end(producer: Any) -> None:
    """Let a producer go, with what it could not send."""
    producer.purge()
    producer.flush(_READ_S)


def _partition(name: str) -> int:
    return int(name.removeprefix(_OFFSETS)) if name.startswith(_OFFSETS) else -1


def _quiet() -> Any:
    """Return a logger for the client's own lines: a broker that is away is told by us, once."""
    import logging

    quiet = logging.getLogger("mainspring.kafka")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return quiet
