"""The lease of a home's database: who may write to it, until when, and the number that fences off whoever was before.

The epoch grows by one each time the lease is taken. Every write transaction holds the row by a key-share lock and
compares the epoch, so a control that was stopped, cut off or forgotten commits nothing once another has taken over.
The lease runs out by the server's clock alone. A holder at the same place has the home's file lock, so its predecessor
there is known to be dead, and it need not wait.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mainspring.kernel.errors import Conflict, Unavailable

log = logging.getLogger("mainspring.lease")

APPLICATION = "mainspring"
WRITER_LOCK = 0x6D61696E7370  # "mainsp": one writer at a time in one database
_LOOK_EVERY_S = 0.2
_TABLE = """
CREATE TABLE IF NOT EXISTS mainspring_home (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    home text NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    place text NOT NULL,
    until timestamptz NOT NULL
)
"""
_TAKE = """
UPDATE mainspring_home SET epoch = epoch + 1, holder = :holder, place = :place,
    until = clock_timestamp() + make_interval(secs => :length_s)
RETURNING epoch
"""
_RENEW = """
UPDATE mainspring_home SET until = clock_timestamp() + make_interval(secs => :length_s) WHERE epoch = :epoch
"""
_RELEASE = "UPDATE mainspring_home SET holder = '', place = '', until = '-infinity' WHERE epoch = :epoch"
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = :name AND datname = current_database() AND pid <> pg_backend_pid()
"""


class Holder(msgspec.Struct, frozen=True):
    """Who asks for a lease: of which home, under what name, at which place (the identity of the home's file lock)."""

    home: str
    name: str
    place: str


class Lease:
    """Taken by ``take``, kept by a thread, given up by ``release``; ``lost`` once another has taken it."""

    def __init__(self, engine: Engine, holder: Holder, *, length_s: float, wait_s: float) -> None:
        self._engine = engine
        self._holder = holder
        self._length_s = length_s
        self._wait_s = wait_s
        self._over = threading.Event()
        self._keeper: threading.Thread | None = None
        self.epoch = 0
        self.lost = False

    def take(self) -> None:
        """Take the lease, waiting for up to ``wait_s``; raises ``Conflict`` with the name of who holds it."""
        until_s = time.monotonic() + self._wait_s
        told = ""
        while held_by := self._try_if_it_answers(last=time.monotonic() >= until_s):
            if time.monotonic() >= until_s:
                raise Conflict(
                    f"the home is in use by {held_by}", field="home", value=self._holder.home,
                    remedy="stop it first, or let this one wait with --standby",
                )  # fmt: skip
            if held_by != told:
                log.info("standing by: the home is in use by %s", held_by)
                told = held_by
            time.sleep(_LOOK_EVERY_S)
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._keeper.start()

    def check(self, connection: Connection) -> None:
        """Hold the lease until the transaction of ``connection`` ends; raises ``Conflict`` if it is another's."""
        if connection.scalar(text("SELECT epoch FROM mainspring_home FOR KEY SHARE")) != self.epoch:
            self.lost = True
        if self.lost:
            raise Conflict(
                "another control has taken over this home; nothing was changed", field="home",
                value=self._holder.home, remedy="ask that one",
            )  # fmt: skip

    def release(self) -> None:
        """Give the lease up, so that another need not wait until it runs out."""
        self._over.set()
        if self._keeper is not None:
            self._keeper.join(self._length_s)
        if not self.lost:
            try:
                with self._engine.begin() as connection:
                    connection.execute(text(_RELEASE), {"epoch": self.epoch})
            except DBAPIError:
                log.warning("the lease could not be given up: it runs out by itself")

    def _try_if_it_answers(self, *, last: bool) -> str:
        """Try, and take a database that is away for one that is held, unless this is the ``last`` time."""
        try:
            return self._try()
        except DBAPIError as error:
            if last or not is_away(error):
                raise
            return "a database that does not answer"

    def _try(self) -> str:
        """Take the lease if it is free and return nothing; else return who holds it."""
        with self._engine.begin() as connection:
            prepare(connection, self._holder.home)
            found = connection.execute(
                text("SELECT home, epoch, holder, place, until < clock_timestamp() AS over FROM mainspring_home")
            ).one()  # fmt: skip
            if found.home != self._holder.home:
                raise Conflict(
                    "the database belongs to another home", field="store", value=found.home,
                    remedy="name a database of its own, or make the folder anew with this --store to join that home",
                )  # fmt: skip
            if found.holder and not found.over and found.place != self._holder.place:
                return str(found.holder)
            # A holder that was stopped in the middle of a transaction would keep its row lock until it goes on.
            connection.execute(text(_END_SESSIONS), {"name": f"{APPLICATION}/{found.epoch}"})
            now = connection.scalar(text("SELECT epoch FROM mainspring_home FOR UPDATE"))
            if now != found.epoch:
                return "one that was quicker"
            values = {"holder": self._holder.name, "place": self._holder.place, "length_s": self._length_s}
            taken = connection.scalar(text(_TAKE), values)
        self.epoch = int(taken or 0)
        return ""

    def _keep(self) -> None:
        while not self._over.wait(self._length_s / 4):
            try:
                with self._engine.begin() as connection:
                    values = {"epoch": self.epoch, "length_s": self._length_s}
                    if connection.execute(text(_RENEW), values).rowcount == 0:
                        self.lost = True
            except DBAPIError as error:
                log.warning("the lease could not be renewed: %s", type(error.orig).__name__)
            if self.lost:
                log.error("another control has taken over this home")
                return


def is_away(error: DBAPIError) -> bool:
    """Say whether an error means that the server, or the connection to it, is gone."""
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state is None or state[:2] in {"08", "57"}


def prepare(connection: Connection, home: str) -> None:
    """Make the one row that says which home the database belongs to."""
    if connection.scalar(text("SELECT to_regclass('mainspring_home')")) is None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
        connection.execute(text(_TABLE))
    connection.execute(
        text("INSERT INTO mainspring_home VALUES (true, :home, 0, '', '', '-infinity') ON CONFLICT DO NOTHING"),
        {"home": home},
    )


def home_in(connection: Connection) -> str | None:
    """Return the id of the home that a database belongs to; None if it is nobody's yet."""
    if connection.scalar(text("SELECT to_regclass('mainspring_home')")) is None:
        return None
    found = connection.scalar(text("SELECT home FROM mainspring_home"))
    return None if found is None else str(found)


def place_of(lock: Path) -> str:
    """Return what tells a file lock from all others: the kernel that keeps it, the device and the inode."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        found = lock.stat()
    except OSError as error:
        raise Unavailable("the home's lock is gone", field="home", value=str(lock)) from error
    return f"{_kernel(boot)}:{found.st_dev}:{found.st_ino}"


def _kernel(boot: Path) -> str:
    import uuid

    return boot.read_text().strip() if boot.exists() else f"{uuid.getnode():x}"
