"""The topic itself: made once, asked how it is set up and which partitions it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mainspring.adapters.streams.kafka.client import Trouble, open_client
from mainspring.adapters.streams.kafka.place import Place
from mainspring.kernel.errors import Unavailable
from mainspring.log.frame import LONGEST_SET_BYTES

PARTITIONS = 4
MOST_MESSAGE_BYTES = 80 * 1_024 * 1_024  # brokers take 1 MiB unless told otherwise: less than a body may have
ASKED_S = 3.0
LISTED_S = 5.0
_ENVELOPE_BYTES = 1_024  # what a message has around its group


def make_topic(place: Place) -> None:
    """Make the topic unless there is one, with partitions to write to side by side, for messages as large as ours."""
    from confluent_kafka import KafkaException
    from confluent_kafka.cimpl import NewTopic

    trouble = Trouble()
    asking = admin(place, trouble)
    try:
        if place.topic in asking.list_topics(timeout=LISTED_S).topics:
            return
    except KafkaException as error:
        asking.poll(0)
        said = trouble.said or error.args[0].str()
        raise Unavailable(f"the broker cannot be reached: {said}", field="spool", remedy="look at it") from error
    config = {"max.message.bytes": str(MOST_MESSAGE_BYTES)}
    for made in asking.create_topics([NewTopic(place.topic, num_partitions=PARTITIONS, config=config)]).values():
        with suppress(KafkaException):  # another process made it just now
            made.result(10)


def partitions(client: Any, place: Place, timeout_s: float) -> list[int]:
    """Return the partitions that the topic has now; none where there is no topic. Raises ``KafkaException``."""
    found = client.list_topics(place.topic, timeout=timeout_s).topics.get(place.topic)
    return sorted(found.partitions) if found is not None else []


def longest(place: Place) -> int:
    """Return how long a group may be as the topic is set up; without an answer, as we would have set it up."""
    found = int(setup(place).get("max.message.bytes", MOST_MESSAGE_BYTES))
    return min(min(found, MOST_MESSAGE_BYTES) - _ENVELOPE_BYTES, LONGEST_SET_BYTES)


def setup(place: Place) -> dict[str, str]:
    """Return how a topic is set up; nothing where the broker does not say."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

    asking = admin(place)  # it must live until it was answered
    asked = asking.describe_configs([ConfigResource(ResourceType.TOPIC, place.topic)], request_timeout=ASKED_S)
    try:
        (told,) = asked.values()
        return {name: str(entry.value) for name, entry in told.result(2 * ASKED_S).items()}
    except (KafkaException, TimeoutError):
        return {}


def admin(place: Place, trouble: Trouble | None = None) -> Any:
    """Open a client that asks about topics and changes them."""
    from confluent_kafka.admin import AdminClient

    return open_client(AdminClient, place, trouble)


def kept_until(told: Mapping[str, str], now_us: int) -> int | None:
    """Return until when a topic keeps what it holds now; None where it may be for ever, or is not known.

    A segment goes whole, once its newest message is old enough and another segment was begun after it.

    >>> kept_until({"cleanup.policy": "delete", "retention.ms": "86400000", "segment.ms": "3600000"}, 0)
    90000000000
    >>> kept_until({"cleanup.policy": "compact", "retention.ms": "86400000", "segment.ms": "3600000"}, 0)
    >>> kept_until({"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "3600000"}, 0)
    """
    try:
        keeps_ms, rolls_ms = int(told["retention.ms"]), int(told["segment.ms"])
    except (KeyError, ValueError):
        return None
    if keeps_ms < 0 or "delete" not in told.get("cleanup.policy", ""):
        return None
    return now_us + 1_000 * (keeps_ms + rolls_ms)
