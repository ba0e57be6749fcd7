"""The one outbound client: it resolves a name once, checks the address, and talks to that address only.

No redirects are followed, no proxy of the environment is used, the answer and the time are capped, and only hosts that
the settings allow are reached.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

import msgspec

from mainspring.kernel.errors import InvalidInput, Refused, Unavailable


class Outbound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be reached, and for how long. ``hosts`` are exact names; private addresses need ``allow_private``."""

    hosts: tuple[str, ...]
    allow_private: bool = False
    allow_plain: bool = False
    timeout_s: float = 5.0
    most_answer_bytes: int = 65_536

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send ``body`` and return the status; raise ``Refused`` where it may not, ``Unavailable`` where it cannot."""
        return self.ask("POST", url, body, headers)[0]

    def ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a request and return status and body, which is cut where it is longer than may be."""
        target = self.check(url)
        host, port = str(target.hostname), target.port or (443 if target.scheme == "https" else 80)
        address = self._resolve(host, port)
        deadline_s = time.monotonic() + self.timeout_s
        connection = _Pinned(host, port, address, self.timeout_s, tls=target.scheme == "https")
        try:
            connection.request(method, _path(target), body=body or None, headers=dict(headers))
            answer = connection.getresponse()
            said = answer.read(self.most_answer_bytes)
            if time.monotonic() > deadline_s:
                raise Unavailable("answered too late", field="host", value=host)
            return answer.status, said
        except (OSError, HTTPException) as error:
            raise Unavailable(f"did not answer: {error}", field="host", value=host) from error
        finally:
            connection.close()

    def check(self, url: str) -> SplitResult:
        """Return the parts of a URL that may be reached; a refusal shows no more of it than its host."""
        try:
            target = urlsplit(url)
            port_is_fine = target.port is None or target.port > 0
        except ValueError:
            raise InvalidInput("is not a URL", field="url", remedy="write https://host/path") from None
        if target.scheme not in ("http", "https") or not target.hostname or not port_is_fine:
            raise InvalidInput("is not an http or https URL", field="url", remedy="write https://host/path")
        if not (url.isascii() and url.isprintable() and " " not in url):
            remedy = "look for a line's end or a space in it"
            raise InvalidInput("holds what no URL may", field="url", value=target.hostname, remedy=remedy)
        if target.username or target.password or target.fragment:
            raise InvalidInput("must not hold a user, a password or a fragment", field="url", value=target.hostname)
        if target.scheme == "http" and not self.allow_plain:
            raise Refused("is not encrypted", field="url", value=target.hostname, remedy="use https or set allow_plain")
        if target.hostname not in self.hosts:
            remedy = f"add it to the allowed hosts: {', '.join(self.hosts) or 'none yet'}"
            raise Refused("is not an allowed host", field="url", value=target.hostname, remedy=remedy)
        return target

    def _resolve(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unavailable(f"cannot be resolved: {error}", field="host", value=host) from error
        addresses = [str(entry[4][0]) for entry in found]
        forbidden = [address for address in addresses if not ipaddress.ip_address(address).is_global]
        if forbidden and not self.allow_private:
            remedy = "set allow_private if this is meant"
            raise Refused("leads to a private address", field="host", value=host, remedy=remedy)
        return addresses[0]


class _Pinned(HTTPConnection):
    """Connects to the address that was checked, whatever the name resolves to by now."""

    def __init__(self, host: str, port: int, address: str, timeout_s: float, *, tls: bool) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _path(target: SplitResult) -> str:
    return (target.path or "/") + (f"?{target.query}" if target.query else "")
