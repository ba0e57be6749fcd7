"""The writing side: one producer per boot of a gateway, one message under way at a time."""

from __future__ import annotations

from time import monotonic
from typing import Any
from zlib import crc32

import msgspec

from mainspring.adapters.streams.kafka.client import Trouble, open_client
from mainspring.adapters.streams.kafka.place import Place
from mainspring.adapters.streams.kafka.topic import MOST_MESSAGE_BYTES, longest, partitions
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Unavailable
from mainspring.log.spool import Acknowledgement, Policy, Writer

STALLED_S = 2.0  # what was sent has not arrived for so long: callers are refused
RENEWED_S = 5.0  # and for so long: another producer tries, since a topic that was made anew knows nothing of this one
GROUP_BYTES = 900 * 1_024  # what a broker takes where nobody set it up otherwise
_POLL_S = 0.02
_LAST_S = 0.05


class KafkaSpool(Writer):
    """The writing side: one producer per boot. Threads may share it.

    What the broker does not take, being away or refusing it, is kept and tried again, and nothing more is taken.
    """

    def __init__(
        self, place: Place, boot: str, acknowledgement: Acknowledgement = "batched", *, batch_ms: int = 5
    ) -> None:
        messages = Messages(place, boot, Policy(acknowledgement, batch_ms))
        super().__init__(messages, boot, acknowledgement, batch_ms=batch_ms)


class _Flight:
    """One try to send the message at hand."""

    def __init__(self) -> None:
        self.began_s = monotonic()
        self.over = False
        self.error: Any = None

    def arrived(self, error: Any, _message: Any) -> None:
        self.over, self.error = True, error


class Messages:
    """The messages of one boot, one under way at a time: so they are in order, and each number is there once.

    A message that was refused is sent again under its number, if need be by a new producer: whether an earlier try was
    stored after all does not matter, since a reader takes each number once. All go to one partition, also when others
    are added: whoever reads two could meet a later number first.
    """

    patience_s = 10.0

    def __init__(self, place: Place, boot: str, policy: Policy) -> None:
        self._place = place
        self._boot = boot
        self._policy = policy
        self._number = 1  # of the message at hand
        self._flight: _Flight | None = None
        self._lost = False  # this producer sends nothing any more
        self._partition = -1  # not chosen yet
        self._looked = False  # whether this producer has asked for the topic's partitions
        self._producer, self._trouble = self._opened()
        self.most_bytes = longest(place)
        self.group_bytes = min(GROUP_BYTES, self.most_bytes)

    def write(self, group: bytes) -> None:
        """Return once the broker has the group; one that is under way already is only waited for."""
        flight = self._flight or self._send(group)
        until_s = monotonic() + STALLED_S
        while not flight.over and not self._ended and monotonic() < until_s:
            self._producer.poll(_POLL_S)
        if flight.over and flight.error is None:
            self._flight = None
            self._number += 1
            reached("kafka.delivered")
            return
        if flight.over or self._ended or monotonic() - flight.began_s > RENEWED_S:
            self._flight = None
            self._lost = self._ended or not flight.over
        if flight.error is None:
            raise self._away()
        raise _refusal(flight.error)

    def sync(self) -> None:
        """Do nothing: what was delivered is kept as the policy asked for."""

    def close(self) -> None:
        """Let go of the broker."""
        _end(self._producer)

    @property
    def _ended(self) -> bool:
        return self._lost or self._trouble.fatal

    def _send(self, group: bytes) -> _Flight:
        from confluent_kafka import KafkaException

        if self._ended:
            _end(self._producer)
            self._producer, self._trouble = self._opened()
            self._lost = self._looked = False
        partition = self._chosen()
        flight = _Flight()
        headers = [("policy", msgspec.json.encode(self._policy)), ("set", str(self._number).encode())]
        try:
            self._producer.produce(
                self._place.topic, group, self._boot, partition, headers=headers, on_delivery=flight.arrived
            )
        except (KafkaException, BufferError) as error:
            self._lost = True
            raise _refusal(error) from error
        self._flight = flight
        return flight

    def _chosen(self) -> int:
        """Return this boot's partition; another one only where the topic, made anew, has none of that number."""
        from confluent_kafka import KafkaException

        if self._looked:
            return self._partition
        try:
            found = partitions(self._producer, self._place, STALLED_S)
        except KafkaException as error:
            self._producer.poll(0)  # it may know why
            raise self._away(error.args[0].str()) from error
        if not found:
            raise Unavailable("there is no such topic", field="spool", value=self._place.topic, remedy="make it")
        if self._partition not in found:
            self._partition = found[crc32(self._boot.encode()) % len(found)]
        self._looked = True
        return self._partition

    def _away(self, else_said: str | None = None) -> Unavailable:
        said = self._trouble.said or else_said
        what = f"the broker does not take records{f': {said}' if said else ''}"
        return Unavailable(what, field="spool", remedy="look at the broker")

    def _opened(self) -> tuple[Any, Trouble]:
        from confluent_kafka import Producer

        firm = self._policy.acknowledgement != "best_effort"
        trouble = Trouble()
        producer = open_client(
            Producer,
            self._place,
            trouble,
            client_id=self._boot,
            enable_idempotence=firm,
            acks="all" if firm else "1",
            linger_ms=0,  # it is a group already
            message_timeout_ms=0,  # kept and tried until the broker is back
            message_max_bytes=MOST_MESSAGE_BYTES,
        )
        return producer, trouble


def _refusal(error: Any) -> Unavailable:
    remedy = "see to the topic at the broker; what was taken before waits, and is sent once the broker takes it"
    return Unavailable("the broker refuses records", field="spool", value=str(error), remedy=remedy)


def _end(producer: Any) -> None:
    """Let a producer go, with what it could not send."""
    producer.purge()
    producer.flush(_LAST_S)
