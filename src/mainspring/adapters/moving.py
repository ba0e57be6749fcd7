"""Move a home's metadata, blobs and parts between its folder and servers: copy, verify, and only then switch."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.places import bucket_blobs, bucket_tables
from mainspring.adapters.settings import Settings, keep_setting, read_settings, without_password
from mainspring.adapters.stores.copying import copy_rows
from mainspring.adapters.stores.opening import open_store
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, Damaged
from mainspring.ledger.ports import Store
from mainspring.ledger.queries import entries, verify_chain
from mainspring.ledger.tables import ledger_entries
from mainspring.ledger.transaction import Transaction
from mainspring.log.parts import listed

MOVED = ".moved"


class Moved(msgspec.Struct, frozen=True):
    """What was moved: rows and entries of the ledger, blobs and parts."""

    rows: int = 0
    entries: int = 0
    blobs: int = 0
    parts: int = 0


def move_store(home: Home, url: str, *, by: str) -> Moved:
    """Copy every row into an empty database in one transaction, verify counts and chain, and switch the settings.

    Killed anywhere, the home is as it was or wholly moved, and the same command ends the work.
    """
    settings, _ = read_settings(home.root)
    if settings.store:
        raise Conflict("the metadata is in a database already", field="store", value=without_password(settings.store))
    there = Settings(**{**msgspec.structs.asdict(settings), "store": url})
    with closing(_opened(home, settings)) as source, closing(_opened(home, there, moving=True)) as target:
        with source.read() as rows, target.bookkeeping() as connection:
            _refuse_another(rows, connection, url)
            copied = copy_rows(rows, connection)
            verdict = verify_chain(connection, home.ledger_key())
            if not verdict.verified:
                raise Damaged(f"the ledger does not verify: {verdict.reason}", field="ledger", value=verdict.broken_at)
            entry = Transaction(connection, by, home.clock().now_us(), home.ledger_key())
            numbers: dict[str, Any] = {"rows": sum(copied.rows.values()), "entries": copied.entries}
            entry.record("home.moved", home.file.id, f"the metadata moved to {without_password(url)}", numbers)
            reached("move.before_commit")
        reached("move.after_commit")
        keep_setting(home.root, "store", url)
        reached("move.after_switch")
    home.database.rename(home.database.with_name(home.database.name + MOVED))
    return Moved(rows=sum(copied.rows.values()), entries=copied.entries)


def move_files(home: Home, *, blobs: str = "", tables: str = "") -> Moved:
    """Copy every blob, or every listed part, into a bucket, and switch the settings once all is there.

    The files stay in the folder, which is a cache from then on. Killed anywhere, the same command ends the work.
    """
    settings, _ = read_settings(home.root)
    places = {name: url for name, url in (("blobs", blobs), ("tables", tables)) if url}
    for name, url in places.items():
        if getattr(settings, name) not in ("", url):
            raise Conflict("are in a bucket already", field=name, value=getattr(settings, name))
    left = {name: url for name, url in places.items() if not getattr(settings, name)}  # of a move that was killed
    if not left:
        raise Conflict("are in that bucket already", field=next(iter(places)), value=blobs or tables)
    there = Settings(**{**msgspec.structs.asdict(settings), **left})
    moved = Moved(
        blobs=_move_blobs(home, there) if "blobs" in left else 0,
        parts=_move_parts(home, settings, there) if "tables" in left else 0,
    )
    reached("move.before_switch")
    for name, url in left.items():
        keep_setting(home.root, name, url)
        reached("move.after_switch")
    return moved


def _move_blobs(home: Home, there: Settings) -> int:
    here, target = FileBlobs(home.blobs, LocalDisk()), bucket_blobs(home, there, empty=True)
    digests = sorted(here.digests())
    for digest in digests:
        here.get(digest)  # verified: damage is not moved
        target.put_file(here.path(digest))
    return len(digests)


def _move_parts(home: Home, here: Settings, there: Settings) -> int:
    target = bucket_tables(home, there, empty=True)
    with closing(_opened(home, here)) as store, store.read() as connection:
        parts = listed(connection)
    for part in parts:
        target.adopt(part)
    return len(parts)


def _opened(home: Home, settings: Settings, *, moving: bool = False) -> Store:
    return open_store(home, settings, home.clock(), purpose="mainspring move", moving=moving)


def _refuse_another(source: Connection, target: Connection, url: str) -> None:
    """Refuse a database that knows more than what is moved: the home goes on there, and this one is a copy of it."""
    known = [entry for entry in entries(target, newest_first=True, limit=2) if entry.kind != "home.moved"]
    if not known:
        return
    same = select(ledger_entries.c.hash).where(ledger_entries.c.seq == known[0].seq)
    if source.scalar(same) != known[0].hash:
        raise Conflict(
            "the database holds what this home does not know", field="store", value=without_password(url),
            remedy="name an empty database",
        )  # fmt: skip
