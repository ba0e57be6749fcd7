"""Which metadata store a home has: SQLite in its folder unless its settings name a database."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

from mainspring.adapters.home import Home, create_home
from mainspring.adapters.settings import PREFIX, Settings, keep_setting, read_settings, strip_password, without_password
from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import Clock
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import Conflict, Damaged
from mainspring.ledger.ports import Store


def open_store(
    home: Home, settings: Settings, clock: Clock, *, purpose: str, wait_s: float = 0.0, moving: bool = False
) -> Store:
    """Open the home's store, and bring its tables to this version. The caller holds the home's lock.

    ``purpose`` and ``wait_s`` are for a database that others may hold: who asks, and for how long to stand by. Whoever
    is ``moving`` the home may open an empty one.
    """
    if not settings.store:
        home.check_whole()
        store: Store = SqliteStore(home.database, clock, home.ledger_key())
    else:
        if not moving:
            _refuse_stranded(home, settings)
        store = _postgres(home, settings, clock, purpose=purpose, wait_s=wait_s)
    try:
        migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def make_home(folder: Path, url: str) -> Home:
    """Make a home whose metadata is in a database, or another place of the home that the database belongs to.

    The settings keep the URL without its password, which goes into the environment for the processes of this home.
    """
    from mainspring.adapters.stores.postgres import home_of

    Settings(store=url)
    standing = (folder / "home.json").exists()
    home = create_home(folder, joining=None if standing else home_of(url))
    if standing and read_settings(folder)[0].store != url and home.database.exists():
        raise Conflict(
            "the home's metadata is in meta.db", field="store", value=without_password(url),
            remedy="move it first: mainspring move --store URL",
        )  # fmt: skip
    keep_setting(folder, "store", url)
    if strip_password(url) != url:
        os.environ[f"{PREFIX}STORE"] = url
    return home


def _postgres(home: Home, settings: Settings, clock: Clock, *, purpose: str, wait_s: float) -> Store:
    from mainspring.adapters.stores.lease import Holder, place_of
    from mainspring.adapters.stores.postgres import PostgresStore

    name = f"{purpose} on {socket.gethostname()} (process {os.getpid()})"
    holder = Holder(home.file.id, name, place_of(home.root / "lock"))
    lease_s = parse_duration(settings.store_lease) / timedelta(seconds=1)
    return PostgresStore(settings.store, clock, home.ledger_key(), holder=holder, lease_s=lease_s, wait_s=wait_s)


def _refuse_stranded(home: Home, settings: Settings) -> None:
    """Refuse an empty database for a home that has a past: it would hide what was done."""
    from mainspring.adapters.stores.postgres import home_of, shown_url

    url = settings.store
    if home_of(url) is not None:
        return
    if home.database.exists():
        raise Conflict(
            "the home's metadata is in meta.db, and the database is empty", field="store", value=shown_url(url),
            remedy="take the setting away and move it: mainspring move --store URL",
        )  # fmt: skip
    if any(home.blobs.iterdir()):
        raise Damaged(
            "the database is empty, but the home is not", field="store", value=shown_url(url),
            remedy="name the database that it was used with, or restore a backup",
        )  # fmt: skip
