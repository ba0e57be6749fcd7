"""The reading side, for control alone: every partition from where our own store says, those that are added, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from mainspring.adapters.streams.kafka.client import open_client
from mainspring.adapters.streams.kafka.place import Place
from mainspring.adapters.streams.kafka.topic import ASKED_S, LISTED_S, admin, kept_until, make_topic, partitions, setup
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, Unavailable
from mainspring.log.frame import read_groups
from mainspring.log.ports import Kept
from mainspring.log.records import Record, Stopped
from mainspring.log.segments import Damage, Position, Reading
from mainspring.log.spool import Policy

FOLLOW_S = 5.0  # so often the topic is asked whether it has other partitions
_READ_S = 0.05
_MESSAGES = 2_000
_OFFSETS = "kafka:"  # what the position of a partition is kept under
_decode_policy = msgspec.json.Decoder(Policy).decode


class KafkaReader:
    """The reading side, for control alone: by partition and offset, without a group."""

    def __init__(self, place: Place, *, follow_s: float = FOLLOW_S) -> None:
        from confluent_kafka import Consumer

        self._place = place
        self._follow_s = follow_s
        self._looked_s = 0.0  # when the topic was last asked for its partitions
        self._consumer = open_client(
            Consumer,
            place,
            group_id="mainspring",  # asked for by the client; nothing is ever committed to it
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=20,
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
        asking = admin(self._place)
        wanted = [TopicPartition(self._place.topic, partition, offset) for partition, offset in ends.items()]
        try:
            asked = asking.delete_records(wanted, request_timeout=ASKED_S)
            for done in asked.values():
                done.result(2 * ASKED_S)
        except (KafkaException, TimeoutError) as error:
            where = f"kafka://{self._place.servers}/{self._place.topic}"
            return (Kept(where, kept_until(setup(self._place), now_us), str(error)),)
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
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError, Damaged):  # a header of others may be null
            scan = None
        if scan is None or scan.rest != "nothing" or not scan.records:
            damage = Damage(f"kafka-{partition}-{offset}", partition, offset, len(data))  # each is kept by itself
            taken.damaged[damage] = data
            return
        taken.add(boot, number, policy, scan.records, partition)

    def _seek(self, at: Mapping[str, Position]) -> None:
        """Stand where the store says: at first, and after rows that were read could not be stored."""
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        wanted = {partition: position.offset for name, position in at.items() if (partition := _partition(name)) >= 0}
        # partitions that were read for the first time stand in no store yet: they are read again from their beginning
        moved = any(wanted.get(partition, 0) != offset for partition, offset in self._next.items())
        if self._next and not moved and not self._changed():
            return
        self._next = {partition: wanted.get(partition, 0) for partition in self._partitions()}
        self._consumer.assign(
            [
                TopicPartition(self._place.topic, partition, offset or OFFSET_BEGINNING)
                for partition, offset in self._next.items()
            ]
        )

    def _partitions(self) -> list[int]:
        """Return the topic's partitions; make the topic if there is none."""
        from confluent_kafka import KafkaException

        make_topic(self._place)
        try:
            found = partitions(self._consumer, self._place, LISTED_S)
        except KafkaException as error:
            raise Unavailable(f"the broker cannot be reached: {error.args[0].str()}", field="spool") from error
        self._looked_s = monotonic()
        return found

    def _changed(self) -> bool:
        """Ask now and then whether the topic has other partitions; a broker that does not say has the same."""
        from confluent_kafka import KafkaException

        if monotonic() - self._looked_s < self._follow_s:
            return False
        try:
            found = partitions(self._consumer, self._place, ASKED_S)
        except KafkaException:
            found = []
        self._looked_s = monotonic()
        return bool(found) and set(found) != set(self._next)


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


def _partition(name: str) -> int:
    return int(name.removeprefix(_OFFSETS)) if name.startswith(_OFFSETS) else -1
