"""Clients of a broker: opened the same way, quiet, and able to say why the broker is not there."""

from __future__ import annotations

from typing import Any

from mainspring.adapters.streams.kafka.place import Place
from mainspring.kernel.errors import InvalidInput


class Trouble:
    """What a client last said of its broker. That all brokers are down says less than why one is."""

    def __init__(self) -> None:
        self.said = ""
        self.fatal = False

    def note(self, error: Any) -> None:
        """Take an error as the client tells it, from a thread of its own or while it is polled."""
        from confluent_kafka import KafkaError

        self.fatal = self.fatal or error.fatal()
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.said:
            self.said = error.str()


def open_client(kind: Any, place: Place, trouble: Trouble | None = None, **properties: Any) -> Any:
    """Open a producer, a consumer or an admin client; raises ``InvalidInput`` where the settings make none."""
    from confluent_kafka import KafkaException

    told = {name.replace("_", "."): value for name, value in properties.items()}
    if trouble is not None:
        told["error_cb"] = trouble.note
    try:
        return kind({"bootstrap.servers": place.servers, "logger": _quiet(), **place.access.properties(), **told})
    except KafkaException as error:
        what = f"the client does not take the settings: {error.args[0].str()}"
        raise InvalidInput(what, field="kafka", remedy="look at the settings that begin with kafka_") from None


def _quiet() -> Any:
    """Return a logger for the client's own lines: a broker that is away is told by us, once."""
    import logging

    quiet = logging.getLogger("mainspring.kafka")
    if not quiet.handlers:
        quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return quiet
