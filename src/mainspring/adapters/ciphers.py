"""Sealing with AES-GCM, by the package ``cryptography`` of the extra ``pii``."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mainspring.kernel.errors import Damaged, NotFound
from mainspring.log.ports import Cipher, Disk

KEY_BYTES = 32
_NONCE_BYTES = 12


class AesGcm:
    """AES-256-GCM with a random nonce in front of what is sealed. What was changed does not open.

    >>> cipher = AesGcm()
    >>> key = cipher.new_key()
    >>> cipher.open(key, cipher.seal(key, b"Ann", b"field"), b"field")
    b'Ann'
    >>> cipher.open(cipher.new_key(), cipher.seal(key, b"Ann", b"field"), b"field") is None
    True
    """

    def new_key(self) -> bytes:
        return os.urandom(KEY_BYTES)

    def seal(self, key: bytes, data: bytes, context: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, data, context)

    def open(self, key: bytes, sealed: bytes, context: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            return None


def cipher() -> Cipher | None:
    """Return the cipher, or None where the extra ``pii`` is not installed."""
    return AesGcm() if find_spec("cryptography") is not None else None


def home_secret(path: Path, disk: Disk) -> Callable[[], bytes]:
    """Return what gives a home's secret, which is made when it is first asked for and never changes."""
    known: list[bytes] = []

    def secret() -> bytes:
        if not known:
            known.append(_read_or_make(path, disk))
        return known[0]

    return secret


def _read_or_make(path: Path, disk: Disk) -> bytes:
    try:
        found = disk.read(path)
    except NotFound:
        disk.make(path.parent)
        disk.write(path, os.urandom(KEY_BYTES))
        found = disk.read(path)
    if len(found) != KEY_BYTES:
        raise Damaged("is not the secret that was written", field="keys", value=path.name, remedy="restore a backup")
    return found
