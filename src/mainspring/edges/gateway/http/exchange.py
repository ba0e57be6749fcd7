"""One request and its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mainspring.edges.gateway.http.connection import Connection
    from mainspring.edges.gateway.http.head import Head

Headers = Sequence[tuple[str, str]]


class Exchange:
    """A request whose head has come, and its body once it is asked of the application; it is answered once.

    ``began_ns`` is when its head had come, by the machine's monotonic clock. ``line`` is the application's own.
    """

    __slots__ = ("began_ns", "body", "connection", "head", "keeps", "line")

    def __init__(self, connection: Connection, head: Head) -> None:
        self.connection: Connection | None = connection
        self.head = head
        self.body = b""
        self.keeps = head.keeps_alive
        self.began_ns = time.perf_counter_ns()
        self.line: Any = None

    @property
    def open(self) -> bool:
        """Tell whether somebody still waits for the answer."""
        return self.connection is not None

    @property
    def served(self) -> bool:
        """Tell whether its connection is one of those that are served."""
        return self.connection is not None and self.connection.served

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer; a second answer, or one that nobody waits for any more, goes nowhere."""
        connection = self.connection
        if connection is not None:
            connection.answer(self, status, headers, body)
            self.connection = None  # where that raised, it can still be said that it did


class Application(Protocol):
    """What a listener serves. None of these raises, but for ``opened``."""

    draining: bool

    def opened(self, exchange: Exchange) -> None:
        """Look at the head of a request; whatever is raised refuses it before its body has come."""

    def asked(self, exchange: Exchange) -> None:
        """Answer a request, now or later: its body has come."""

    def refused(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request that ``opened`` or the listener refuses."""

    def malformed(self, exchange: Exchange | None, error: Exception) -> tuple[int, Headers, bytes]:
        """Return what is said of a request that cannot be read."""

    def reading(self, exchange: Exchange, began: bool) -> None:
        """Note that a body is being waited for, or no longer."""

    def received(self, exchange: Exchange, count: int) -> None:
        """Note bytes of a body that did not say how long it is; whatever is raised refuses it."""

    def broken_off(self, exchange: Exchange) -> None:
        """Note that the caller hung up before its body had come."""

    def connected(self, count: int) -> None:
        """Note how many connections there are."""
