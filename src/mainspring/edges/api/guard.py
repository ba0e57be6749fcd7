"""The front door: Host, origin, token, size and headers, decided once on raw values before any routing."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.edges.api.address import ControlAddress
from mainspring.edges.person import local_user
from mainspring.edges.verbs.verb import Permission
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.ledger.actor import known, sayable
from mainspring.serving.keyring import KeyRing
from mainspring.serving.routing import KeyRoute

_SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_TARGET = re.compile(rb"/[A-Za-z0-9_./~%-]*")


class Known(msgspec.Struct, frozen=True):
    """Whose a request is: a name, and ``how`` that is known: ``user``, ``page``, or the id of a key."""

    name: str
    how: str

    @property
    def by_key(self) -> bool:
        return self.how.startswith("key_")


class Door:
    """Let in only requests with a Host out of ``hosts`` and a plain target; add the headers to every answer."""

    def __init__(self, app: ASGIApp, hosts: Callable[[], frozenset[bytes]], refuse: ASGIApp) -> None:
        self._app = app
        self._hosts = hosts
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        named = [value for name, value in scope["headers"] if name == b"host"]
        plain = _TARGET.fullmatch(scope.get("raw_path") or scope["path"].encode()) is not None
        known = len(named) == 1 and named[0].lower() in self._hosts()
        await (self._app if plain and known else self._refuse)(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_SECURITY_HEADERS]
        await send(message)

    return sending


class Locks:
    """Who may do what: whoever can read the home holds its token and may do all; a key may do what its roles say.

    The page's token does what a page orders, in the name of the user that it was given to: that of this process.
    ``closed`` also asks for the role ``read`` where a page is open to everybody on this machine.
    """

    def __init__(
        self,
        address: ControlAddress,
        *,
        closed: bool,
        keys: Callable[[], Iterable[KeyRoute]],
        now_us: Callable[[], int],
    ) -> None:
        self.closed = closed
        self._address = address
        self._user = local_user()
        self._keys = keys
        self._now_us = now_us

    def require(self, request: Request, permission: Permission) -> Known:
        """Refuse a request that may not do this; return whose it is, as the door itself knows."""
        given = request.headers.get("authorization", "")
        if _is(given, self._address.token):
            return Known(self._user, "user")
        if self._address.page_token and _is(given, self._address.page_token):
            if permission == "owner":
                remedy = "ask on this machine, by command"
                raise Refused("the page's token may not do this", field="role", remedy=remedy)
            return Known(self._user, "page")
        if not given.startswith("Bearer key_"):
            raise Refused(
                "a valid token is needed",
                field="authorization",
                remedy="send 'Authorization: Bearer <token>' with the token of run/control.json",
            )
        key = KeyRing(self._keys()).find(given[7:], permission, self._now_us())
        return Known(key.name, key.id)

    def require_to_look(self, request: Request, *, private: bool = False) -> None:
        """Refuse to show a page where a key is needed; a browser sends it as the password of any name.

        A ``private`` one shows people's data, or works something out: it always needs a key or a token, the page's too,
        and answers no other site.
        """
        if not self.closed and not private:
            return
        if private and request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refused("comes from another site", field="sec-fetch-site")
        given = request.headers.get("authorization", "")
        if not given.startswith("Basic "):
            self.require(request, "read")
            return
        password = _password(given[6:])
        if not self._address.page_token or not _is(f"Bearer {password}", self._address.page_token):
            KeyRing(self._keys()).require(password, "read", self._now_us())


def _is(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), b"Bearer " + token.encode())


def _password(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def require_intent(request: Request) -> None:
    """Refuse an unsafe request that a browser could have been tricked into sending."""
    if request.headers.get("x-mainspring-request") != "1":
        raise Refused("is missing", field="x-mainspring-request", remedy="send the header 'X-Mainspring-Request: 1'")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused("comes from another site", field="sec-fetch-site")
    origin, host = request.headers.get("origin"), request.headers["host"]
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Refused("comes from another origin", field="origin", value=origin)


def read_actor(request: Request, whose: Known) -> str:
    """Return who asks: as it is known and, for the holder of a token, with what it says of itself (percent-encoded)."""
    if whose.by_key:
        return known(whose.name, whose.how)
    said = unquote(request.headers.get("x-mainspring-actor", ""))
    return known(whose.name, whose.how, sayable(said, field="x-mainspring-actor"))


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body, never reading more than ``limit_bytes``; a compressed one is refused, as it could be a bomb."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise InvalidInput("is not taken", field="content-encoding", value=encoding, remedy="send the body as it is")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit_bytes:
            raise InvalidInput("is too large", field="body", remedy=f"send at most {limit_bytes} bytes")
    return bytes(body)
