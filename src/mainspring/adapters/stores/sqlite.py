"""The metadata store in one SQLite file: one writer connection, WAL, ``synchronous=FULL``, ``BEGIN IMMEDIATE``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool, StaticPool

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Conflict, Damaged, Unavailable
from mainspring.ledger.transaction import Transaction, recorded

OLDEST_SAFE = (3, 51, 3)  # earlier ones can corrupt a WAL when several connections write or checkpoint


class SqliteStore:
    """The embedded ``Store``. Threads may share it: writers take turns, readers run beside them."""

    def __init__(self, path: Path, clock: Clock, ledger_key: bytes = b"") -> None:
        self._clock = clock
        self._key = ledger_key
        self._turn = threading.Lock()
        self._writer = _engine(path, read_only=False)
        self._readers = _engine(path, read_only=True)

    def begin(self, actor: str) -> AbstractContextManager[Transaction]:
        return recorded(self.bookkeeping(), actor, self._clock, self._key)

    @contextmanager
    def bookkeeping(self) -> Iterator[Connection]:
        with self._turn, _plain_errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with _plain_errors(), self._readers.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self._readers.dispose()
        self._writer.dispose()


def _engine(path: Path, *, read_only: bool) -> Engine:
    driver = _driver()

    def connect() -> Any:
        mode = "ro" if read_only else "rwc"
        connection = driver.connect(
            f"file:{path}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=30
        )
        connection.execute("PRAGMA foreign_keys=ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        return connection

    pool = QueuePool if read_only else StaticPool
    engine = create_engine("sqlite://", module=driver, creator=connect, poolclass=pool)
    start = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(start))
    return engine


def _driver() -> Any:
    try:
        from pysqlite3 import dbapi2 as driver
    except ImportError:
        import sqlite3 as driver
    if driver.sqlite_version_info < OLDEST_SAFE:
        raise Unavailable(
            "this SQLite can corrupt its journal",
            field="sqlite",
            value=driver.sqlite_version,
            remedy="install pysqlite3 0.6.1 or later, or a Python linked with SQLite 3.51.3 or later",
        )
    return driver


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "full" in text:
            raise Unavailable(
                "the disk is full; nothing was changed", field="home", remedy="free some space"
            ) from error
        if "I/O" in text:
            raise Unavailable(
                "the disk does not take writes; nothing was changed", field="home", remedy="look at the disk"
            ) from error
        if "locked" in text:
            raise Conflict("another process writes to this home", field="home") from error
        raise
    except DatabaseError as error:
        if "malformed" in str(error.orig) or "not a database" in str(error.orig):
            raise Damaged("the metadata store is damaged", field="home", remedy="restore a backup") from error
        raise
