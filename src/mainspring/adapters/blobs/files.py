"""Blobs as files under their digest: ``ab/ab12…``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mainspring.kernel.errors import Damaged, InvalidInput, NotFound
from mainspring.kernel.ids import digest as digest_bytes
from mainspring.log.ports import Disk

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileBlobs:
    """The embedded ``Blobs``: a folder of immutable files.

    >>> import tempfile
    >>> from mainspring.adapters.disk import LocalDisk
    >>> blobs = FileBlobs(Path(tempfile.mkdtemp()), LocalDisk())
    >>> blobs.get(blobs.put(b"some bytes"))
    b'some bytes'
    """

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk

    def put(self, data: bytes) -> str:
        digest = digest_bytes(data)
        path = self.path(digest)
        if self._disk.size(path) != len(data):
            self._disk.make(path.parent)
            self._disk.write(path, data)
        return digest

    def put_file(self, path: Path) -> str:
        return self.put(self._disk.read(path))

    def get(self, digest: str) -> bytes:
        if not self.has(digest):
            raise NotFound("no such blob is stored", field="digest", value=digest, remedy="restore it from a backup")
        data = self._disk.read(self.path(digest))
        if digest_bytes(data) != digest:
            raise Damaged(
                "the stored bytes are not what was written", field="digest", value=digest, remedy="restore a backup"
            )
        return data

    def path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput("is not a digest", field="digest", value=digest, remedy="give 64 hexadecimal digits")
        return self._root / digest[:2] / digest

    def has(self, digest: str) -> bool:
        return self._disk.size(self.path(digest)) is not None

    def digests(self) -> Iterator[str]:
        for folder in self._disk.list(self._root):
            yield from (name for name in self._disk.list(self._root / folder) if _DIGEST.fullmatch(name))
