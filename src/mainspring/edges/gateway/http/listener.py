"""Listens on one address: accepts, sweeps what is slow, and ends without breaking off what is under way."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from collections import deque
from email.utils import formatdate
from http import HTTPStatus

from mainspring.edges.gateway.http.connection import Connection
from mainspring.edges.gateway.http.exchange import Application, Headers
from mainspring.edges.gateway.http.handshake import Handshake
from mainspring.edges.gateway.http.head import Heads
from mainspring.serving.limits import Limits

BUFFER_BYTES = 256 * 1024
BACKLOG = 1_024
DATED_S = 1.0
TURNS = 5
_REMEMBERED = 256


class Listener:
    """Connections of one address, and what they share.

    ``buffer`` takes what is received, for all of them: it is emptied before the next one is read.
    """

    def __init__(self, application: Application, limits: Limits) -> None:
        self.application = application
        self.limits = limits
        self.heads = Heads(limits.header_bytes)
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self._connections: set[Connection] = set()
        self._beyond: dict[Connection, None] = {}  # those that came when there were enough, in order
        self._greeting: set[Handshake] = set()
        self._idle: deque[tuple[Connection | Handshake, float]] = deque()  # as last seen, longest first
        self._encryption: ssl.SSLContext | None = None
        self._prefixes: dict[tuple[int, Headers, bool], bytes] = {}
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self._closing = False
        self._look_every_s = min(DATED_S, limits.header_s / 10, limits.body_s / 10)
        self._date = ""

    async def listen(self, host: str, port: int, encryption: ssl.SSLContext | None) -> None:
        """Begin to accept; several processes may listen on one port where the system shares it fairly."""
        loop = asyncio.get_running_loop()
        self._encryption = encryption
        self._server = await loop.create_server(
            self._accepted, host, port, backlog=BACKLOG, reuse_address=True,
            reuse_port=sys.platform == "linux" or None, family=_family(host),
        )  # fmt: skip
        self._sweep()

    async def close(self, within_s: float) -> None:
        """Stop to accept, finish what is under way, and hang up."""
        self._closing = True
        await _let_turn()  # who has come already is let in first
        if self._server is not None:
            self._server.close()
        await _let_turn()
        for greeting in list(self._greeting):
            greeting.abort()
        for connection in list(self._connections):
            connection.hang_up()
        if self._connections:
            self._gone.clear()
            try:
                await asyncio.wait_for(self._gone.wait(), within_s)
            except TimeoutError:
                for connection in list(self._connections):
                    connection.abort()
        if self._timer is not None:
            self._timer.cancel()

    def add(self, connection: Connection) -> None:
        """Count a connection. Where there are enough, whoever has been idle for longest makes room.

        Where nobody has been, too many are refused what they ask, and far too many are not even told so.
        """
        self._connections.add(connection)
        count = len(self._connections)
        self.application.connected(count)
        if count - len(self._beyond) > self.limits.connections:
            self._beyond[connection] = None
            made = self._make_room()
            if not made and count + len(self._greeting) > 2 * self.limits.connections:
                connection.abort()

    def greet(self, greeting: Handshake) -> None:
        """Count a caller who is about to speak TLS, and hang up where there is no room and nobody makes any."""
        self._greeting.add(greeting)
        if len(self._connections) + len(self._greeting) > 2 * self.limits.connections and not self._make_room():
            greeting.abort()

    def greeted(self, greeting: Handshake) -> None:
        """Forget a caller who speaks TLS now, or never will."""
        self._greeting.discard(greeting)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended; the first of those beyond the limit is served in its place."""
        self._connections.discard(connection)
        self._beyond.pop(connection, None)
        if self._beyond and len(self._connections) - len(self._beyond) < self.limits.connections:
            del self._beyond[next(iter(self._beyond))]
        self.application.connected(len(self._connections))
        if not self._connections:
            self._gone.set()

    def serves(self, connection: Connection) -> bool:
        """Tell whether a connection is one of those that are served."""
        return connection not in self._beyond

    def prefix(self, status: int, headers: Headers, keeps: bool) -> bytes:
        """Return the head of an answer, up to the length of its body."""
        key = (status, headers if type(headers) is tuple else tuple(headers), keeps)
        found = self._prefixes.get(key)
        if found is None:
            if len(self._prefixes) >= _REMEMBERED:
                self._prefixes.clear()
            found = self._prefixes[key] = self._written(status, headers, keeps)
        return found

    def _accepted(self) -> Connection | Handshake:
        return Connection(self) if self._encryption is None else Handshake(self, self._encryption)

    def _make_room(self) -> bool:
        """Hang up on whoever has been idle for longest, if anybody has been for a while."""
        while self._idle:
            longest, since_s = self._idle.popleft()
            if longest.idle_since_s == since_s and (longest in self._connections or longest in self._greeting):
                longest.abort()
                return True
        return False

    def _look_for_idle(self, now_s: float) -> None:
        """Note who has been idle for a while, and let the longest of them make room for those who wait for it."""
        there: list[Connection | Handshake] = [*self._connections, *self._greeting]
        found = [(one, one.idle_since_s) for one in there]
        idle = [
            (one, since_s) for one, since_s in found if since_s is not None and now_s - since_s > self.limits.idle_s
        ]
        self._idle = deque(sorted(idle, key=lambda one: one[1]))
        for _ in range(len(self._beyond)):
            if not self._make_room():
                break

    def _written(self, status: int, headers: Headers, keeps: bool) -> bytes:
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", f"date: {self._date}"]
        lines += [f"{name}: {value}" for name, value in headers if name != "connection"]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header of an answer has a line of its own")
        lines.append("connection: keep-alive" if keeps else "connection: close")
        return "\r\n".join([*lines, "content-length: "]).encode()

    def _sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._look_every_s, self._sweep)
        now_s = time.monotonic()
        date = formatdate(usegmt=True)
        if date != self._date:
            self._date = date
            self._prefixes.clear()
        self._look_for_idle(now_s)
        for connection in list(self._connections):
            connection.sweep(now_s)
            if self._closing and now_s - connection.since_s > DATED_S:  # it was not idle yet, or not there, at first
                connection.hang_up()


async def _let_turn() -> None:
    """Let the loop turn as often as it takes to accept a connection and read what it asks."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
