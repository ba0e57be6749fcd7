"""Who may ask a gateway: everybody on this machine, or holders of keys that came with the routing."""

from __future__ import annotations

from typing import Any

from mainspring.kernel.clock import Clock
from mainspring.serving.keyring import KeyRing
from mainspring.serving.routing import KeyRoute

_BEARER = "Bearer "


class Guard:
    """``closed`` means that every route which is not listed as open needs a key with the route's role."""

    __slots__ = ("_clock", "_ring", "closed")

    def __init__(self, clock: Clock, *, closed: bool) -> None:
        self.closed = closed
        self._clock = clock
        self._ring = KeyRing(())

    def renew(self, keys: tuple[KeyRoute, ...]) -> None:
        """Take the keys of a new routing."""
        self._ring = KeyRing(keys)

    def require(self, role: str, headers: Any) -> None:
        """Raise unless the request may do what needs ``role``."""
        if self.closed:
            self._ring.require(_token(headers), role, self._clock.now_us())

    def caller(self, headers: Any) -> str:
        """Return who asks: the key's name; where none is needed, what the caller says."""
        if self.closed:
            return self._ring.name(_token(headers) or "")
        said: str = headers.get("x-mainspring-caller", "")
        return said[:100]


def _token(headers: Any) -> str | None:
    given = headers.get("authorization")
    return given[len(_BEARER) :] if given is not None and given.startswith(_BEARER) else None
