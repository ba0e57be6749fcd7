"""Bodies that are being received: never too long, never compressed, and never too much of it at once."""

from __future__ import annotations

from mainspring.edges.gateway.http.exchange import Exchange
from mainspring.edges.gateway.http.head import CHUNKED, Head
from mainspring.edges.gateway.limits import TooLarge, TooMany, WrongEncoding
from mainspring.kernel.errors import Refused
from mainspring.serving.limits import Limits

SMALL_BYTES = 64 * 1024  # what so many connections may hold of these does not matter


class Bodies:
    """The bodies that one worker is receiving: ``reading`` requests wait for theirs, ``bytes`` were announced."""

    __slots__ = ("_held", "_limits", "bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: dict[Exchange, int] = {}
        self.bytes = 0

    @property
    def reading(self) -> int:
        return len(self._held)

    def wanted(self, head: Head) -> None:
        """Refuse a body that is compressed, or a browser's, before it comes.

        Only browsers say an origin. A page that somebody happens to visit must not reach the gateway through them.
        """
        headers = head.headers
        origin = headers.get("origin")
        if origin is not None:
            raise Refused("pages may not ask here", field="origin", value=origin, remedy="ask from a server of yours")
        encoding = headers.get("content-encoding")
        if encoding not in (None, "identity"):
            remedy = "send the body as it is"
            raise WrongEncoding("is not taken", field="content-encoding", value=encoding, remedy=remedy)

    def announced(self, length: int) -> None:
        """Refuse a body that is too long, or too much beside the others, before it comes; whoever reads it or not."""
        if length > SMALL_BYTES:
            if length > self._limits.body_bytes:
                raise self._too_long(length)
            self._refuse_more_than_fits(length)

    def began(self, exchange: Exchange) -> None:
        """Count a body that is waited for."""
        length = exchange.head.length
        self._held[exchange] = held = 0 if length == CHUNKED else length
        self.bytes += held

    def came(self, exchange: Exchange, count: int) -> None:
        """Count bytes of a body that comes in chunks and does not say how long it will be."""
        self._held[exchange] += count
        self.bytes += count
        size = self._held[exchange]
        if size > self._limits.body_bytes:
            raise self._too_long(size)
        if size > SMALL_BYTES:
            self._refuse_more_than_fits(0)

    def ended(self, exchange: Exchange) -> None:
        """Forget a body: it has come, or it never will."""
        self.bytes -= self._held.pop(exchange, 0)

    def _refuse_more_than_fits(self, more: int) -> None:
        if self.bytes + more > self._limits.bodies_bytes:
            raise TooMany("too many bytes are being received", field="body", remedy="try again in a second")

    def _too_long(self, size: int) -> TooLarge:
        remedy = f"send at most {self._limits.body_bytes} bytes a request"
        return TooLarge("the body is too long", field="body", value=size, remedy=remedy)
