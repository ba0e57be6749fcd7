"""Callers who are about to speak TLS: counted from when they connect, and given up when they do not come to it."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from mainspring.edges.gateway.http.connection import Connection, State

if TYPE_CHECKING:
    from mainspring.edges.gateway.http.listener import Listener


class Handshake(asyncio.Protocol):
    """One caller until both sides have agreed on a key; then a connection goes on in its place."""

    def __init__(self, listener: Listener, encryption: ssl.SSLContext) -> None:
        self._listener = listener
        self._encryption = encryption
        self._transport: asyncio.Transport | None = None
        self._agreeing: asyncio.Task[None] | None = None
        self.since_s = time.monotonic()

    @property
    def idle_since_s(self) -> float | None:
        """Return since when it could make room for another."""
        return self.since_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()  # what comes is for TLS to read
        self._agreeing = asyncio.get_running_loop().create_task(self._agree(self._transport))
        self._listener.greet(self)

    def abort(self) -> None:
        """Hang up at once, and be forgotten: what is cancelled before it began comes to no end of its own."""
        self._listener.greeted(self)
        if self._transport is not None:
            self._transport.abort()
        if self._agreeing is not None:
            self._agreeing.cancel()

    async def _agree(self, transport: asyncio.Transport) -> None:
        connection = Connection(self._listener)
        encrypted = None
        try:
            with suppress(OSError):  # TLS errors are such, and so are callers who hang up
                encrypted = await asyncio.get_running_loop().start_tls(
                    transport, connection, self._encryption, server_side=True,
                    ssl_handshake_timeout=self._listener.limits.header_s,
                )  # fmt: skip
        finally:
            self._listener.greeted(self)
            if encrypted is None:
                transport.abort()
        if encrypted is not None and connection.state is not State.CLOSED:
            connection.connection_made(encrypted)
