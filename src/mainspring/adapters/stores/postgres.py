"""The metadata store in a PostgreSQL database: one writer at a time, readers that see one committed state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError

from mainspring.adapters.stores.lease import APPLICATION, WRITER_LOCK, Holder, Lease, home_in, is_away
from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, Damaged, InvalidInput, MainspringError, Refused, Unavailable
from mainspring.ledger.transaction import Transaction, recorded

OLDEST = 14  # pg_xact_status and pg_current_xact_id are from 13, which is no longer kept up
SETTLE_S = 10.0  # how long to ask a server that went away during a commit what became of it
_SESSION = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_SETTINGS = (
    "SET idle_in_transaction_session_timeout = '300s'",
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)


class PostgresStore:
    """A ``Store`` in one database. Threads may share it.

    A writer takes an advisory lock first (waiting for up to ``turn_s``), so writers take turns and no transaction is
    ever given up as a victim; with a ``holder`` it then proves by its lease that no other control has taken over.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        ledger_key: bytes = b"",
        *,
        holder: Holder | None = None,
        lease_s: float = 10.0,
        wait_s: float = 0.0,
        turn_s: float = 30.0,
    ) -> None:
        self._clock = clock
        self._key = ledger_key
        self._enter = text(f"SET LOCAL lock_timeout = {round(1_000 * turn_s)}")
        self._shown = shown_url(url)
        self._turn = threading.Lock()
        self._lease: Lease | None = None
        name = APPLICATION
        if holder is not None:
            self._lease_engine = _engine(url, f"{APPLICATION} lease", keep=1)
            self._lease = Lease(self._lease_engine, holder, length_s=lease_s, wait_s=wait_s)
            try:
                with self._plain_errors():
                    self._lease.take()
            except BaseException:
                self._lease_engine.dispose()
                raise
            name = f"{APPLICATION}/{self._lease.epoch}"
        self._writers = _engine(url, name, keep=1)
        self._readers = _engine(url, name, keep=5).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        try:
            with self.read() as connection:
                _check_version(connection)
        except BaseException:
            self.close()
            raise

    @property
    def lost(self) -> bool:
        """Say whether another control has taken over: nothing can be written any more."""
        return self._lease is not None and self._lease.lost

    def begin(self, actor: str) -> AbstractContextManager[Transaction]:
        return recorded(self.bookkeeping(), actor, self._clock, self._key)

    @contextmanager
    def bookkeeping(self) -> Iterator[Connection]:
        with self._turn, self._plain_errors(), self._writers.connect() as connection:
            transaction = connection.begin()
            try:
                connection.execute(self._enter)
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
                number = connection.scalar(text("SELECT CAST(pg_current_xact_id() AS text)"))
                if self._lease is not None:
                    self._lease.check(connection)
                yield connection
            except BaseException:
                _roll_back(transaction)
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                if not is_away(error):
                    raise
                self._settle(str(number), error)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._plain_errors(), self._readers.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        if self._lease is not None:
            self._lease.release()
            self._lease_engine.dispose()
        self._readers.dispose()
        self._writers.dispose()

    def _settle(self, number: str, error: DBAPIError) -> None:
        """Find out whether a transaction whose commit got no answer is whole; raise unless it is."""
        until_s = time.monotonic() + SETTLE_S
        while time.monotonic() < until_s:
            try:
                with self._writers.begin() as connection:
                    # The server may not have noticed yet: its side of the broken session ends before this lock is ours.
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
                    status = connection.scalar(
                        text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))"), {"number": number}
                    )
            except DBAPIError as again:
                if not is_away(again):
                    raise
                time.sleep(0.2)
                continue
            if status == "committed":
                return
            raise Unavailable(
                "the connection broke; nothing was changed", field="store", value=self._shown, remedy="ask again"
            ) from error
        raise Unavailable(
            "the server went away while a change was committed; whether it was made is not known yet", field="store",
            value=self._shown, remedy="look at it before asking again: mainspring ledger list",
        ) from error  # fmt: skip

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise (_plain(error, self._shown) or error) from error


def shown_url(url: str) -> str:
    """Return a database's URL as it may be shown: without its password."""
    return _parsed(url).render_as_string(hide_password=True)


def home_of(url: str) -> str | None:
    """Return the id of the home that a database belongs to; None if it is nobody's yet."""
    engine = _engine(url, APPLICATION, keep=1)
    try:
        with engine.connect() as connection:
            return home_in(connection)
    except DBAPIError as error:
        raise (_plain(error, shown_url(url)) or error) from error
    finally:
        engine.dispose()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidInput(
            "is not the URL of a database", field="store", remedy="postgresql://user@host/name"
        ) from None
    if "password" in parsed.query:
        remedy = "write it as postgresql://user:password@host/name, or set PGPASSWORD"
        raise InvalidInput("a password does not belong behind the question mark", field="store", remedy=remedy)
    return parsed


def _engine(url: str, name: str, *, keep: int) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Unavailable(
            "psycopg is not installed", field="store", remedy='install it with: pip install "mainspring[postgres]"'
        ) from None
    engine = create_engine(
        _parsed(url).set(drivername="postgresql+psycopg"),
        connect_args={**_SESSION, "application_name": name},
        pool_size=keep,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    before = connection.autocommit
    connection.autocommit = True
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.autocommit = before


def _check_version(connection: Connection) -> None:
    found = int((connection.dialect.server_version_info or (0,))[0])
    if found < OLDEST:
        raise Refused(
            "this PostgreSQL is too old", field="store", value=found, remedy=f"use PostgreSQL {OLDEST} or later"
        )


def _roll_back(transaction: Any) -> None:
    try:
        transaction.rollback()
    except DBAPIError as error:  # the session is gone, and its transaction with it
        if not is_away(error):
            raise


def _plain(error: DBAPIError, shown: str) -> MainspringError | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    match state:
        case "55P03":
            return Conflict("another process writes to this home", field="home")
        case "53100":
            return Unavailable("the database's disk is full; nothing was changed", field="store", value=shown)
        case "25006":
            return Unavailable("the database takes no writes: is it a replica?", field="store", value=shown)
        case "28P01" | "28000":
            return Refused("the database does not let us in", field="store", value=shown, remedy=said)
        case "3D000":
            return Unavailable("there is no such database", field="store", value=shown, remedy="make it with: createdb")
        case "42501":
            return Refused("the database's user may not do this", field="store", value=shown, remedy=said)
        case "XX001" | "XX002":
            return Damaged("the metadata store is damaged", field="store", value=shown, remedy="restore a backup")
    if isinstance(error, DataError):
        return InvalidInput(f"cannot be stored: {said}", field="value")
    if is_away(error):
        remedy = "it is tried again by itself; look at the server if it lasts"
        return Unavailable(f"the metadata store does not answer: {said}", field="store", value=shown, remedy=remedy)
    return None
