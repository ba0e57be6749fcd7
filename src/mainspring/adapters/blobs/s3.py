"""Blobs in a bucket, under ``blobs/ab/ab12…``, with the home's folder as a cache that is verified when read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.bucket import Bucket
from mainspring.adapters.cache import FileCache
from mainspring.kernel.errors import Damaged, NotFound


class S3Blobs:
    """A ``Blobs`` whose bytes outlive this machine. What was read once is read again while the bucket is away."""

    def __init__(self, bucket: Bucket, local: FileBlobs, cache: FileCache) -> None:
        self._bucket = bucket
        self._local = local
        self._cache = cache
        self._verified: set[str] = set()

    def put(self, data: bytes) -> str:
        digest = self._local.put(data)
        self._bucket.put(_key(digest), self._local.path(digest))
        return digest

    def put_file(self, path: Path) -> str:
        digest = self._local.put_file(path)
        self._bucket.put(_key(digest), self._local.path(digest))
        return digest

    def get(self, digest: str) -> bytes:
        with suppress(NotFound, Damaged):
            data = self._local.get(digest)
            self._cache.used(self._local.path(digest))
            return data
        self._fetch(digest)
        return self._local.get(digest)

    def path(self, digest: str) -> Path:
        """Return a local file with the bytes, fetched first if it is not here or was changed."""
        path = self._local.path(digest)
        if digest not in self._verified or not self._local.has(digest):
            if not self._local.has(digest) or _digest_of(path) != digest:
                self._fetch(digest)
            self._verified.add(digest)
        self._cache.used(path)
        return path

    def has(self, digest: str) -> bool:
        self._local.path(digest)
        return self._bucket.size(_key(digest)) is not None

    def digests(self) -> Iterator[str]:
        for stored in self._bucket.list("blobs"):
            yield stored.key.rpartition("/")[2]

    def _fetch(self, digest: str) -> None:
        path = self._local.path(digest)
        try:
            self._cache.fill(path, lambda to: self._bucket.fetch(_key(digest), to, digest))
        except NotFound:
            raise NotFound(
                "no such blob is stored", field="digest", value=digest, remedy="restore it from a backup"
            ) from None


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"
