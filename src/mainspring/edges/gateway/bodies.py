"""Receiving bodies: never too long, never compressed, never for ever, and never too much of it at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mainspring.edges.gateway.limits import SlowBody, TooLarge, TooMany, WrongEncoding
from mainspring.kernel.errors import Refused
from mainspring.serving.decode import Malformed
from mainspring.serving.limits import Limits

SMALL_BYTES = 64 * 1024  # what so many connections may hold of these does not matter


class Bodies:
    """The bodies that one worker is receiving: ``reading`` requests wait for theirs, ``bytes`` were announced."""

    __slots__ = ("_limits", "_look_every_s", "_readers", "_watch", "bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._look_every_s = min(1.0, limits.body_s / 10)
        self._readers: dict[asyncio.Task[Any] | None, float] = {}  # when each began; below 0 once its time was over
        self._watch: asyncio.TimerHandle | None = None
        self.bytes = 0

    async def read(self, scope: Any, proto: Any) -> bytes:
        """Return the body, refusing one that is too long or compressed, or a browser's, as early as it can be known.

        Only browsers say an origin. A page that somebody happens to visit must not reach the gateway through them.
        """
        headers = scope.headers
        origin = headers.get("origin")
        if origin is not None:
            raise Refused("pages may not ask here", field="origin", value=origin, remedy="ask from a server of yours")
        encoding = headers.get("content-encoding")
        if encoding not in (None, "identity"):
            remedy = "send the body as it is"
            raise WrongEncoding("is not taken", field="content-encoding", value=encoding, remedy=remedy)
        held = self._announced(headers.get("content-length"))
        if held > SMALL_BYTES and self.bytes + held > self._limits.bodies_bytes:
            raise TooMany("too many bytes are being received", field="body", remedy="try again in a second")
        task = asyncio.current_task()
        self._readers[task] = time.monotonic()
        self.bytes += max(held, 0)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._look_every_s, self._hurry)
        try:
            return await self._pieces(proto) if held < 0 else await proto()
        except asyncio.CancelledError:
            if task is None or self._readers[task] >= 0.0:
                raise
            task.uncancel()
            what = f"did not come within {self._limits.body_s:g} s"
            raise SlowBody(what, field="body", remedy="send as many bytes as content-length says") from None
        finally:
            del self._readers[task]
            self.bytes -= max(held, 0)

    @property
    def reading(self) -> int:
        return len(self._readers)

    def _hurry(self) -> None:
        """Give up on bodies whose time is over: one timer for all, as a timer for each costs more than most bodies."""
        self._watch = None
        latest_s = time.monotonic() - self._limits.body_s
        for task, began_s in list(self._readers.items()):
            if began_s > latest_s:
                break  # they stand in the order in which they began
            if task is not None and began_s >= 0.0:
                self._readers[task] = -1.0
                task.cancel()
        if self._readers:
            self._watch = asyncio.get_running_loop().call_later(self._look_every_s, self._hurry)

    def _announced(self, length: str | None) -> int:
        """Return how long the body will be; -1 where it comes in chunks and does not say."""
        if length is None:
            return -1
        if not length.isascii() or not length.isdigit():
            raise Malformed("wrong_length", "content-length is not a number", field="content-length", value=length)
        if int(length) > self._limits.body_bytes:
            raise self._too_long(int(length))
        return int(length)

    async def _pieces(self, proto: Any) -> bytes:
        pieces, size = [], 0
        try:
            async for piece in proto:
                size += len(piece)
                self.bytes += len(piece)
                if size > self._limits.body_bytes:
                    raise self._too_long(size)
                if size > SMALL_BYTES and self.bytes > self._limits.bodies_bytes:
                    raise TooMany("too many bytes are being received", field="body", remedy="try again in a second")
                pieces.append(piece)
        finally:
            self.bytes -= size
        return b"".join(pieces)

    def _too_long(self, size: int) -> TooLarge:
        remedy = f"send at most {self._limits.body_bytes} bytes a request"
        return TooLarge("the body is too long", field="body", value=size, remedy=remedy)
