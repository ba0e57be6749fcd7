"""A disk that fails on purpose: the twin of every disk on which our own formats are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mainspring.kernel.errors import Unavailable
from mainspring.log.ports import AppendFile, Disk, Lock


class FaultyDisk:
    """Passes everything on to ``inner``, until it is told to be full.

    >>> import tempfile
    >>> from mainspring.adapters.disk import LocalDisk
    >>> disk = FaultyDisk(LocalDisk())
    >>> with disk.full():
    ...     disk.write(Path(tempfile.mkdtemp()) / "a", b"bytes")
    Traceback (most recent call last):
    ...
    mainspring.kernel.errors.Unavailable: home: the disk is full; nothing was changed; free some space
    """

    def __init__(self, inner: Disk) -> None:
        self._inner = inner
        self._left: int | None = None
        self.writes = 0

    @contextmanager
    def full(self, after_writes: int = 0) -> Iterator[None]:
        """Be full for a while, from the write after ``after_writes`` others on."""
        self._left = after_writes
        try:
            yield
        finally:
            self._left = None

    def write(self, path: Path, data: bytes) -> None:
        self.spend()
        self._inner.write(path, data)

    def read(self, path: Path, offset: int = 0, limit: int | None = None) -> bytes:
        return self._inner.read(path, offset, limit)

    def append(self, path: Path) -> AppendFile:
        self.spend()
        return FaultyAppendFile(self, self._inner.append(path))

    def list(self, folder: Path) -> list[str]:
        return self._inner.list(folder)

    def size(self, path: Path) -> int | None:
        return self._inner.size(path)

    def make(self, folder: Path) -> None:
        self._inner.make(folder)

    def rename(self, path: Path, to: Path) -> None:
        self._inner.rename(path, to)

    def remove(self, path: Path) -> None:
        self._inner.remove(path)

    def blank(self, path: Path, until: int) -> None:
        self.spend()
        self._inner.blank(path, until)

    def lock(self, path: Path) -> Lock | None:
        return self._inner.lock(path)

    def spend(self) -> None:
        """Count a write; raise ``Unavailable`` if the disk is full."""
        if self._left is not None:
            if self._left <= 0:
                raise Unavailable("the disk is full; nothing was changed", field="home", remedy="free some space")
            self._left -= 1
        self.writes += 1


class FaultyAppendFile:
    """An append file on a disk that may be full."""

    def __init__(self, disk: FaultyDisk, inner: AppendFile) -> None:
        self._disk = disk
        self._inner = inner

    @property
    def size(self) -> int:
        return self._inner.size

    def write(self, data: bytes) -> None:
        self._disk.spend()
        self._inner.write(data)

    def sync(self) -> None:
        self._inner.sync()

    def close(self) -> None:
        self._inner.close()
