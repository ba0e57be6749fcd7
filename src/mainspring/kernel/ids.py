"""Ids and digests. Ids are ours and random; what users call things are labels in columns."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str) -> str:
    """Return a random id of 75 bits with the kind in front, such as ``rel_4x8…``.

    >>> new_id("rel").startswith("rel_"), len(new_id("rel"))
    (True, 19)
    """
    bits = secrets.randbits(75)
    return kind + "_" + "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 75, 5))


def digest(data: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal.

    >>> digest(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces: the bytes that digests and chains are taken over.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return msgspec.json.encode(value, order="sorted")


def digest_of(value: object) -> str:
    """Return the digest of a value's canonical JSON."""
    return digest(canonical_json(value))


class PredictionIds:
    """Counts prediction ids up from one worker boot; unique without asking anyone.

    >>> ids = PredictionIds("b1")
    >>> ids.next(), ids.next()
    ('b1-1', 'b1-2')
    """

    __slots__ = ("_count", "boot")

    def __init__(self, boot: str | None = None) -> None:
        self.boot = boot or new_id("b")
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"{self.boot}-{self._count:x}"
