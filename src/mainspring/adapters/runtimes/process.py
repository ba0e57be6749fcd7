"""A version that runs in a process of its own, asked over its Unix socket."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from mainspring.adapters.runtimes.frames import Answer, Ask, Unframer, framed
from mainspring.kernel.errors import Unavailable
from mainspring.serving.ports import Row

_RETRY_S = 0.05
_decoder = msgspec.msgpack.Decoder(Answer)


class Busy(Unavailable):
    """The process has as many requests as it may have, answered or given up by their callers or not."""


class ModelProcess(asyncio.Protocol):
    """The gateway's end. It connects again by itself; whatever was under way when the process went fails at once.

    A permit belongs to the work: a request counts until the process has answered it, though nobody may wait any more.
    """

    def __init__(self, path: Path, most_requests: int = 512) -> None:
        self._path = path
        self._most_requests = most_requests
        self._working: set[int] = set()
        self._pace_s = 0.0  # between two answers, while more were waited for
        self._answered_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0
        self._frames = Unframer()
        self._closed = False
        self._connecting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def under_way(self) -> int:
        """Return how many requests the process has and has not answered."""
        return len(self._working)

    @property
    def silent_s(self) -> float:
        """Return for how long the process has had requests and answered none of them."""
        return time.monotonic() - self._answered_s if self._working else 0.0

    def wait_s(self, admitted: int) -> float:
        """Return how long a new request would wait for its answer; without end where the process may have no more.

        ``admitted`` requests are let in and not answered yet, though they may not have come here so far.
        """
        before = max(admitted, len(self._working))
        return math.inf if before >= self._most_requests else before * self._pace_s

    async def open(self, timeout_s: float) -> bool:
        """Connect, waiting for the process to come up; return whether it did. It goes on trying afterwards."""
        self._connect_later()
        connecting = self._connecting
        if connecting is not None:
            await asyncio.wait((connecting,), timeout=timeout_s)
        return self.connected

    def ask(self, rows: Sequence[Row], budget_s: float, *, shadow: bool = False) -> asyncio.Future[Answer]:
        """Send rows and return the answer to come; raises ``Unavailable`` while the process is away."""
        if self._transport is None:
            self._connect_later()
            raise Unavailable("its process is away", field="model")
        if not shadow and len(self._working) >= self._most_requests:
            raise Busy("has too many requests already", field="model")
        if not self._working:
            self._answered_s = time.monotonic()
        self._number += 1
        self._working.add(self._number)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = future
        number = self._number
        future.add_done_callback(lambda _: self._asked.pop(number, None))
        self._transport.write(framed(Ask(number, tuple(rows), _until_us(budget_s), shadow)))
        return future

    def close(self) -> None:
        """Hang up for good."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._frames = Unframer()

    def data_received(self, data: bytes) -> None:
        messages = self._frames.feed(data)
        self._pace(len(messages))
        for message in messages:
            answer = _decode(message)
            self._working.discard(answer.number)
            future = self._asked.get(answer.number)
            if future is not None and not future.done():
                future.set_result(answer)

    def _pace(self, answers: int) -> None:
        now_s = time.monotonic()
        if answers and len(self._working) > answers:
            self._pace_s += 0.2 * ((now_s - self._answered_s) / answers - self._pace_s)
        self._answered_s = now_s

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._working.clear()
        for future in list(self._asked.values()):
            if not future.done():
                future.set_exception(Unavailable("its process went away", field="model"))
        if not self._closed:
            self._connect_later()

    def _connect_later(self) -> None:
        if not self._closed and self._transport is None and (self._connecting is None or self._connecting.done()):
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self._transport is None and not self._closed:
            try:
                await loop.create_unix_connection(lambda: self, str(self._path))
            except OSError:
                await asyncio.sleep(_RETRY_S)


def _decode(message: bytes) -> Answer:
    answer = _decoder.decode(message)
    return answer.whole() if answer.vectors else answer


def listens(path: Path) -> bool:
    """Return whether a model process takes connections at its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True


def ask_and_wait(path: Path, rows: Sequence[Row], timeout_s: float) -> Answer:
    """Ask a model process from a place without an event loop, such as a batch or a replay."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(framed(Ask(1, tuple(rows), _until_us(timeout_s))))
        (length,) = struct.unpack("<I", _exactly(connection, 4))
        return _decode(_exactly(connection, length))


def _until_us(budget_s: float) -> int:
    return int((time.monotonic() + budget_s) * 1e6)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise Unavailable("its process went away", field="model")
        data += piece
    return bytes(data)
