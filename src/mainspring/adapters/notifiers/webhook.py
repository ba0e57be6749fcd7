"""Alarms as signed JSON to a URL of one's own."""

from __future__ import annotations

import hashlib
import hmac
import time

import msgspec

from mainspring.adapters.notifiers.outbound import Outbound
from mainspring.kernel.errors import InvalidInput, Refused, Unavailable
from mainspring.monitoring.ports import Notice

OLDEST_S = 300


class Webhook:
    """A ``Notifier`` that posts each notice with ``X-Mainspring-Timestamp`` and ``X-Mainspring-Signature``.

    The secret never shows in a ``repr``. Notices that fail are sent again by the caller, under the same id.
    """

    def __init__(self, *, name: str, url: str, secret: str, outbound: Outbound) -> None:
        if len(secret) < 16:
            raise InvalidInput("must have at least 16 characters", field="secret", remedy="use a random one")
        outbound.check(url)
        self._name = name
        self._url = url
        self._secret = secret.encode()
        self._outbound = outbound

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"Webhook({self._name!r})"

    def notify(self, notice: Notice) -> None:
        body = msgspec.json.encode(notice)
        timestamp = str(int(time.time()))
        status = self._outbound.post(
            self._url,
            body,
            {
                "content-type": "application/json",
                "user-agent": "mainspring",
                "x-mainspring-notice": notice.id,
                "x-mainspring-timestamp": timestamp,
                "x-mainspring-signature": sign(self._secret, timestamp, body),
            },
        )
        if 200 <= status < 300:
            return
        if status in (408, 425, 429) or status >= 500:
            raise Unavailable(f"answered {status}", field="webhook", value=self._name)
        raise Refused(f"answered {status}; redirects are not followed", field="webhook", value=self._name)


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a notice: HMAC-SHA-256 over the timestamp, a dot and the body.

    >>> sign(b"0123456789abcdef", "1700000000", b"{}")[:11]
    'v1=e4f8e2ec'
    """
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(secret: bytes, timestamp: str, body: bytes, signature: str, *, now_s: float) -> bool:
    """Return whether a received notice is genuine and not older than five minutes."""
    fresh = timestamp.isdigit() and abs(now_s - int(timestamp)) <= OLDEST_S
    return fresh and hmac.compare_digest(sign(secret, timestamp, body), signature)
