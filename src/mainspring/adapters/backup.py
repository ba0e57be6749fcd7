"""Backup and restore of a home.

A backup is a folder of plain files and a manifest of their digests, written last: without it there is no backup. The
spool is copied before the metadata store, so every record is in a part that the copied store lists, or in the copied
spool after the copied position, or in both before it. What can be built again (the online store) is left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import TEMPORARY, LocalDisk
from mainspring.adapters.erased import ErasedFile, read_erased
from mainspring.adapters.settings import inside_settings, read_settings
from mainspring.adapters.stores.copying import copy_rows
from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, Damaged, InvalidInput, MainspringError, NotFound, Refused
from mainspring.ledger.ports import Store
from mainspring.log.parts import listed
from mainspring.log.ports import Blobs, Tables
from mainspring.log.spool import LOCK
from mainspring.loop.erasing import AGAIN, Again

FORMAT = 1
MANIFEST = "backup.json"
_DATABASE = "meta.db"
_SINGLE = ("home.json", "ledger.key", "clock", "routing/current", "keys/secret")
_FOLDERS = ("blobs", "spool", "parts", "routing/acks", "run", "staging", "latest")
_SETTINGS = "settings.toml"
_NEEDED = ("home.json", _DATABASE)
_HELD = re.compile(r"(blobs|parts|spool)(/[^/\x00-\x1f.][^/\x00-\x1f]{0,199}){2}")
_CHUNK_BYTES = 1_024 * 1_024


class Stored(msgspec.Struct, frozen=True):
    """One file of a backup."""

    digest: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What a whole backup holds, by path relative to the home."""

    format: int
    created_us: int
    files: dict[str, Stored]


class BackedUp(msgspec.Struct, frozen=True):
    """Where a backup lies, or a home that was made from one, and how much it holds."""

    path: str
    files: int
    bytes: int
    digest: str  # of the manifest


def backup(home: Path, to: Path, store: Store, *, blobs: Blobs | None = None, tables: Tables | None = None) -> BackedUp:
    """Copy a home that may be at work into the new folder ``to``; raises ``Damaged`` rather than copy damage.

    ``blobs`` and ``tables`` are where the home keeps them, its own folder unless given. Whatever they and the store
    are, the backup has all of it in files of its own, and is restored as a home that needs nothing else.
    """
    _must_be_new(to, "to")
    if to.resolve().is_relative_to(home.resolve()):
        raise InvalidInput("lies in the home itself", field="to", value=str(to), remedy="name a folder outside of it")
    _make(to, "to")
    try:
        disk = LocalDisk()
        kept_blobs, kept_tables = (
            blobs or FileBlobs(home / "blobs", disk),
            tables or ParquetTables(home / "parts", disk),
        )
        ErasedFile(read_settings(home)[0].erased_subjects).begin()
        with kept_tables.reading():
            files = dict(_copy_home(home, to, store, kept_blobs, kept_tables))
        reached("backup.before_manifest")
        return _seal(to, Manifest(FORMAT, SystemClock().now_us(), files))
    except (MainspringError, OSError):
        shutil.rmtree(to)
        raise


def restore(
    source: Path, home: Path, *, erased: Path | None = None, without_erased_list: bool = False
) -> BackedUp:  # fmt: skip
    """Make a home from a backup. Every digest is verified before the home appears, in one step.

    ``erased`` is the list of who was erased, the one that the backup's settings name unless given: the home erases
    again who is in it, when it is opened first. Where that list is missing they would be back, so it is refused, unless
    ``without_erased_list`` says that this is known.
    """
    body = _manifest_bytes(source)
    manifest = _read_manifest(source, body)
    _must_be_new(home, "home")
    _make(home.parent, "home")
    staged = home.with_name(f".{home.name}.restoring")
    if staged.exists():
        shutil.rmtree(staged)  # of a restore that was killed
    for name in _FOLDERS:
        (staged / name).mkdir(parents=True, mode=0o700)
    settings_first = sorted(manifest.files.items(), key=lambda one: one[0] != _SETTINGS)
    try:
        for place, (name, stored) in enumerate(settings_first):
            _copy(source, name, staged / name, expected=stored)
            if not place:  # whether the list is there is known before the rest is copied
                known = {} if without_erased_list else _erased_since(staged, erased)
    except (MainspringError, OSError):
        shutil.rmtree(staged)
        raise
    (staged / "lock").touch(mode=0o600)
    _leave_to_be_erased(staged, known)
    reached("restore.before_rename")
    LocalDisk().rename(staged, home)
    size = sum(stored.bytes for stored in manifest.files.values())
    return BackedUp(str(home), len(manifest.files), size, hashlib.sha256(body).hexdigest())


def written_by_both(home: Path) -> dict[str, str]:
    """Return the settings of a restored home that name places which the home of the backup may still write to."""
    told = {one.name: str(one.value) for one in read_settings(home, {})[1]}
    named = {name: told[name] for name in ("publish", "ledger_heads", "spool", "mlflow")}
    return {name: place for name, place in named.items() if place not in ("", "delta://")}


def _erased_since(staged: Path, erased: Path | None) -> dict[str, int]:
    """Return who was erased by digest, as the list says that is given or that the settings name; nobody without one."""
    named = read_settings(staged)[0].erased_subjects
    if erased is None and not named:
        return {}
    try:
        return read_erased(erased or Path(named))
    except NotFound:
        raise Refused(
            "the list of who was erased is missing, and they would be in the home again",
            field="erased",
            value=str(erased or named),
            remedy="name it with --erased, or say --without-erased-list",
        ) from None


def _leave_to_be_erased(staged: Path, known: dict[str, int]) -> None:
    if known:
        (staged / "erasing").mkdir(mode=0o700)
        LocalDisk().write(staged / "erasing" / AGAIN, msgspec.json.encode(Again(known)))


def _copy_home(home: Path, to: Path, store: Store, blobs: Blobs, tables: Tables) -> Iterator[tuple[str, Stored]]:
    yield from _copy_spool(home, to)
    with store.read() as connection:
        parts = listed(connection)
        yield _DATABASE, _copy_database(connection, to / _DATABASE)
    for part in parts:
        name = f"parts/{part.table.replace(':', '-')}/{part.id}.parquet"
        (path,) = tables.paths([part])
        yield name, _copy(path.parent, path.name, to / name, expected=part.digest)
    for digest in sorted(blobs.digests()):
        name = f"blobs/{digest[:2]}/{digest}"
        path = blobs.path(digest)
        yield name, _copy(path.parent, path.name, to / name, expected=digest)
    for name in _SINGLE:
        if (home / name).exists():
            yield name, _copy(home, name, to / name)
    if (home / _SETTINGS).exists():
        body = inside_settings(home)
        LocalDisk().write(to / _SETTINGS, body)
        yield _SETTINGS, Stored(hashlib.sha256(body).hexdigest(), len(body))


def _copy_spool(home: Path, to: Path) -> Iterator[tuple[str, Stored]]:
    for path in sorted((home / "spool").glob("[!.]*/*")):
        name = path.relative_to(home).as_posix()
        if path.name == LOCK or path.name.startswith(TEMPORARY):
            continue
        try:
            yield name, _copy(path.parent, path.name, to / name)
        except NotFound:  # consumed in the meantime: its rows are in the store that is copied next
            continue


def _copy_database(connection: Connection, to: Path) -> Stored:
    """Copy the store as the connection's transaction sees it; rows of another kind of store become an SQLite file."""
    if connection.dialect.name == "sqlite":
        _copy_sqlite(connection, to)
    else:
        with closing(SqliteStore(to, SystemClock())) as target:
            migrate(target)
            with target.bookkeeping() as rows:
                copy_rows(connection, rows)
    handle = os.open(to, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    digest = hashlib.sha256()
    with to.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return Stored(digest.hexdigest(), to.stat().st_size)


def _copy_sqlite(connection: Connection, to: Path) -> None:
    source: Any = connection.connection.driver_connection
    driver: Any = connection.dialect.dbapi
    target = driver.connect(str(to))
    try:
        source.backup(target)
    finally:
        target.close()


def _copy(root: Path, name: str, to: Path, *, expected: Stored | str | None = None) -> Stored:
    """Copy a regular file durably, hashing the bytes on their way; a digest or size that differs is damage."""
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256()
    size = 0
    with _opened(root, name) as source, to.open("xb") as target:
        for chunk in _chunks(source):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    found = Stored(digest.hexdigest(), size)
    if expected is not None and expected not in (found, found.digest):
        raise Damaged("the bytes are not what was written", field="file", value=to.name, remedy="use another backup")
    return found


def _opened(root: Path, name: str) -> BinaryIO:
    """Open a regular file under ``root``; no link on the way is followed, and nothing that blocks is waited for."""
    *folders, last = name.split("/")
    held: list[int] = []
    try:
        held.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for folder in folders:
            _refuse_link(folder, held[-1], name)
            held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=held[-1]))
        _refuse_link(last, held[-1], name)
        handle = os.open(last, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1])
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("a file is gone", field="file", value=last, remedy="use another backup") from None
    except OSError as error:
        raise Refused(f"cannot be opened: {error.strerror}", field="file", value=name) from None
    finally:
        for one in held:
            os.close(one)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refused("only regular files are copied", field="file", value=last)
    return os.fdopen(handle, "rb")


def _refuse_link(name: str, folder: int, shown: str) -> None:
    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise Refused("links are not followed", field="file", value=shown)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _seal(to: Path, manifest: Manifest) -> BackedUp:
    body = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"))
    LocalDisk().write(to / MANIFEST, body)
    size = sum(stored.bytes for stored in manifest.files.values())
    return BackedUp(str(to), len(manifest.files), size, hashlib.sha256(body).hexdigest())


def _manifest_bytes(source: Path) -> bytes:
    try:
        with _opened(source, MANIFEST) as file:
            return file.read()
    except NotFound:
        raise NotFound(
            "is no whole backup: its manifest is missing", field="backup", value=str(source), remedy="use another one"
        ) from None


def _read_manifest(source: Path, body: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged("the manifest cannot be read", field="backup", value=str(source)) from error
    if manifest.format > FORMAT:
        raise Refused(
            "was made by a newer version",
            field="backup",
            value=manifest.format,
            remedy="install that version or a later one",
        )
    for name in manifest.files:
        _must_be_of_a_home(name)
    missing = [name for name in _NEEDED if name not in manifest.files]
    if manifest.format < FORMAT or missing:
        what = f"is no backup of a home: it does not hold {missing[0]}" if missing else "has a format that never was"
        raise Damaged(what, field="backup", value=str(source), remedy="use another one")
    return manifest


def _must_be_of_a_home(name: str) -> None:
    """Refuse what no backup holds: other places, and what would speak for a running home, such as its address."""
    if name not in (*_SINGLE, _DATABASE, _SETTINGS) and not _HELD.fullmatch(name):
        raise Refused("a backup names files of a home only", field="file", value=name, remedy="use another backup")


def _make(folder: Path, field: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        what = f"cannot be made: {error.strerror}"
        raise InvalidInput(what, field=field, value=str(folder), remedy="name a folder that can be written") from None


def _must_be_new(folder: Path, field: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidInput("is not a folder", field=field, value=str(folder), remedy="name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise Conflict("is not empty", field=field, value=str(folder), remedy="name a new folder")
