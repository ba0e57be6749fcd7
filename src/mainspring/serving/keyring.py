"""The keys that count, as gateways and control check them: hashes that came with the routing, and no database."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Literal

from mainspring.kernel.errors import Refused
from mainspring.serving.routing import KeyRoute

Role = Literal["predict", "outcome", "read", "operate", "approve"]
ROLES: tuple[Role, ...] = ("predict", "outcome", "read", "operate", "approve")
"""``predict`` asks models; ``outcome`` tells outcomes and pushes rows of sources; ``read`` sees metrics and what
control shows; ``operate`` also changes state and asks a version by its number; ``approve`` signs releases off, in
a role that a policy asks for if it is written ``approve:risk``."""
APPROVES = "approve:"
_NOBODY = "0" * 64


class Unauthorized(Refused):
    """No key, or none that counts."""

    code = "unauthorized"


class KeyRing:
    """The keys that count, as a gateway or control checks them: no database, no secret.

    >>> key = KeyRoute("key_1", "shop", hash_of("key_1.secret"), ("predict",))
    >>> KeyRing((key,)).require("key_1.secret", "predict", 0)
    'shop'
    """

    def __init__(self, keys: Iterable[KeyRoute]) -> None:
        self._keys = {key.id: key for key in keys}
        self._newest_us = 0

    def require(self, token: str | None, role: str, now_us: int) -> str:
        """Return the name of the key that ``token`` is, if it has the role; else raise what is missing.

        A clock that steps back revives no key.
        """
        return self.find(token, role, now_us).name

    def find(self, token: str | None, role: str, now_us: int) -> KeyRoute:
        """Return the key that ``token`` is, if it has the role; else raise what is missing."""
        self._newest_us = max(self._newest_us, now_us)
        key = self._keys.get((token or "").partition(".")[0])
        right = hmac.compare_digest(hash_of(token or ""), key.hash if key else _NOBODY)
        if key is None or not right:
            remedy = "send 'Authorization: Bearer KEY' with a key made by: mainspring key create"
            raise Unauthorized("a valid key is needed", field="authorization", remedy=remedy)
        if key.expires_us is not None and self._newest_us >= key.expires_us:
            raise Unauthorized("the key has expired", field="authorization", remedy="ask for a new one")
        if not _may(key.roles, role):
            what = f"the key {key.name!r} may not do this"
            raise Refused(what, field="role", remedy=f"use one with the role {role}")
        return key

    def name(self, token: str) -> str:
        """Return the name of a key that was found right already."""
        key = self._keys.get(token.partition(".")[0])
        return key.name if key else ""


def _may(roles: tuple[str, ...], role: str) -> bool:
    if role == "approve":  # the door; which role is asked for is the release's to know
        return "operate" in roles or any(one == role or one.startswith(APPROVES) for one in roles)
    return role in roles or (role == "read" and "operate" in roles)


def hash_of(token: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(token.encode()).hexdigest()
