"""A small HTTP client for traffic: keep-alive, several connections, one request at a time on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import cast

import msgspec

from mainspring.kernel.errors import Unavailable

OnAnswer = Callable[[int, int, bytes], None]
_CONNECT_EVERY_S = 0.05


class Traffic:
    """Sends requests in order over several connections and counts what became of them.

    ``failed`` counts answers of 400 and above, and requests whose connection broke before the answer.
    """

    def __init__(self, host: str, port: int, connections: int = 8) -> None:
        self._host = host
        self._port = port
        self._count = connections
        self._lines: list[_Line] = []
        self.sent = self.answered = self.failed = 0

    async def __aenter__(self) -> Traffic:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            line.close()
        self._lines = []

    async def wait_until_ready(self, timeout_s: float = 30.0, generation: int = 0) -> None:
        """Wait until the gateway says that it may be asked, with at least that generation."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while loop.time() < until:
            try:
                status, body = await self.get("/ready")
            except OSError:
                status, body = 0, b""
            if status == 200 and _generation(body) >= generation:
                return
            await asyncio.sleep(_CONNECT_EVERY_S)
        raise Unavailable("the gateway did not become ready", field="port", value=self._port)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask once and return status and body; a broken connection raises ``OSError``."""
        line = _Line(self._host, self._port)
        try:
            return await line.ask(_request("GET", path, self._host, b"", {}))
        finally:
            line.close()

    async def post(
        self,
        path: str,
        bodies: Sequence[bytes],
        headers: Sequence[Mapping[str, str]] | Mapping[str, str] | None = None,
        on_answer: OnAnswer | None = None,
    ) -> None:
        """Send the bodies in order, as connections become free; ``on_answer(index, status, body)``, 0 if none came.

        ``headers`` is one mapping for all or one a body.
        """
        while len(self._lines) < min(self._count, len(bodies)):
            self._lines.append(_Line(self._host, self._port))
        turns = iter(range(len(bodies)))

        async def work(line: _Line) -> None:
            for index in turns:
                own = headers if isinstance(headers, Mapping) else headers[index] if headers else {}
                self.sent += 1
                try:
                    status, body = await line.ask(_request("POST", path, self._host, bodies[index], own))
                except OSError:
                    status, body = 0, b""
                    line.close()
                if status:
                    self.answered += 1
                if not 200 <= status < 400:
                    self.failed += 1
                if on_answer is not None:
                    on_answer(index, status, body)

        await asyncio.gather(*(work(line) for line in self._lines))


def _request(method: str, path: str, host: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def _generation(body: bytes) -> int:
    said: dict[str, int] = msgspec.json.decode(body)
    return said["generation"]


class _Line(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._body_at = self._end = 0
        self._status = 0

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            self._transport = None
            await loop.create_connection(lambda: self, self._host, self._port)
        transport = self._transport
        if transport is None:
            raise ConnectionError("the connection was closed at once")
        self._waiting = loop.create_future()
        transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer.clear()
        self._end = 0

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the connection was closed before the answer"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._end:
            head_end = buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            self._status = int(buffer[9:12])
            self._body_at = head_end + 4
            self._end = self._body_at + _length(bytes(buffer[:head_end]))
        if len(buffer) >= self._end:
            answer = self._status, bytes(buffer[self._body_at : self._end])
            del buffer[: self._end]
            self._end = 0
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(answer)


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at < 0:
        return 0
    end = lowered.find(b"\r\n", at)
    return int(lowered[at + 15 : end if end >= 0 else len(lowered)])
