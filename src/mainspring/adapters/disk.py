"""The local file system behind the storage seam: every write is fsynced, every new name reaches its folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import NotFound, Unavailable
from mainspring.kernel.ids import new_id

_BLANK_BYTES = 1_024 * 1_024
TEMPORARY = ".tmp-"  # names that begin like this are unfinished writes


class LocalDisk:
    """A POSIX file system."""

    def write(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(TEMPORARY + new_id("w"))
        with _plain_errors(path):
            try:
                _write_synced(temporary, data)
                reached("disk.before_rename")
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            reached("disk.after_rename")
            _sync_folder(path.parent)

    def read(self, path: Path, offset: int = 0, limit: int | None = None) -> bytes:
        with _plain_errors(path), path.open("rb", buffering=0) as file:
            file.seek(offset)
            pieces = []
            wanted = os.fstat(file.fileno()).st_size - offset if limit is None else limit
            while wanted > 0 and (piece := file.read(wanted)):
                pieces.append(piece)
                wanted -= len(piece)
            return b"".join(pieces)

    def append(self, path: Path) -> LocalAppendFile:
        with _plain_errors(path):
            file = LocalAppendFile(path)
            _sync_folder(path.parent)
            return file

    def list(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def size(self, path: Path) -> int | None:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def make(self, folder: Path) -> None:
        with _plain_errors(folder):
            missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(parent.parent)

    def rename(self, path: Path, to: Path) -> None:
        with _plain_errors(path):
            path.rename(to)
            _sync_folder(to.parent)

    def remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()

    def blank(self, path: Path, until: int) -> None:
        with _plain_errors(path), path.open("r+b", buffering=0) as file:
            while file.tell() < until:
                file.write(bytes(min(_BLANK_BYTES, until - file.tell())))
            os.fsync(file.fileno())

    def lock(self, path: Path) -> LocalLock | None:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return LocalLock(handle)


class LocalAppendFile:
    """An open file that only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        with _plain_errors(self._path):
            try:
                while rest:
                    rest = rest[os.write(self._handle, rest) :]
            except BaseException:
                os.ftruncate(self._handle, self._size)
                os.lseek(self._handle, self._size, os.SEEK_SET)
                raise
        self._size += len(data)

    def sync(self) -> None:
        with _plain_errors(self._path):
            os.fsync(self._handle)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class LocalLock:
    """An advisory lock of the operating system, held by an open file."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _write_synced(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("there is no such file", field="file", value=path.name) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Unavailable(
                "the disk is full; nothing was changed", field="home", remedy="free some space"
            ) from error
        raise
