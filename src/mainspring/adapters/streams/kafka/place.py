"""Where a topic is and how its broker is reached: encrypted or in the clear, and as whom."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from mainspring.kernel.errors import InvalidInput

Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


class Access(msgspec.Struct, frozen=True):
    """How a broker is reached. The files are named; the password stands here alone and is never shown.

    >>> Access(tls=True, user="shop", password="secret")
    Access(tls=True, user='shop', mechanism='SCRAM-SHA-512')
    """

    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    mechanism: Mechanism = "SCRAM-SHA-512"
    password: str = ""

    def __repr__(self) -> str:
        return f"Access(tls={self.tls}, user={self.user!r}, mechanism={self.mechanism!r})"

    def properties(self) -> dict[str, Any]:
        """Return what the client is told.

        >>> Access(tls=True).properties()
        {'security.protocol': 'ssl'}
        """
        protocol = ("sasl_" if self.user else "") + ("ssl" if self.tls else "plaintext")
        said = {"security.protocol": protocol if self.tls or self.user else "plaintext"}
        if self.tls:
            files = {"ssl.ca.location": self.ca, "ssl.certificate.location": self.cert, "ssl.key.location": self.key}
            said |= {name: path for name, path in files.items() if path}
        if self.user:
            said |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        return said


class Place(NamedTuple):
    """``kafka://host:port,host:port/topic``, and how it is reached."""

    servers: str
    topic: str
    access: Access = Access()


def place_of(url: str, access: Access | None = None) -> Place:
    """Return servers and topic of a URL.

    >>> place_of("kafka://127.0.0.1:9092/predictions")[:2]
    ('127.0.0.1:9092', 'predictions')
    """
    scheme, _, rest = url.partition("://")
    servers, _, topic = rest.partition("/")
    remedy = "write kafka://host:port/topic"
    if "@" in url:  # librdkafka would take it for a host, and print it
        raise InvalidInput("takes no user and no password", field="spool", remedy="set kafka_user")
    if scheme != "kafka" or not servers or not topic or "/" in topic:
        raise InvalidInput("is not where a spool can be", field="spool", value=url, remedy=remedy)
    return Place(servers, topic, access or Access())
