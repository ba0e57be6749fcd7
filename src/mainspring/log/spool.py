"""The writing side of the spool: one writer per boot of a gateway worker, in a folder of its own.

``append`` puts a record into memory; a thread writes what has gathered every few milliseconds as one group. How much a
crash may take is the acknowledgement policy: ``durable`` (nothing that was acknowledged: ``durable()`` waits for the
fsync of the group), ``batched`` (the last ``batch_ms``), ``best_effort`` (what the operating system had not written).
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Literal

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, MainspringError, Unavailable
from mainspring.log.frame import MOST_BYTES, MOST_RECORDS, encode_group, encode_record
from mainspring.log.ports import AppendFile, Disk, Lock
from mainspring.log.records import Record

Acknowledgement = Literal["durable", "batched", "best_effort"]

LOCK = "lock"
RETRY_S = 0.1
MOST_WAITING_BYTES = 64 * 1_024 * 1_024


def segment_name(number: int) -> str:
    """Return a segment's file name.

    >>> segment_name(1)
    '000001.seg'
    """
    return f"{number:06d}.seg"


class SpoolWriter:
    """Appends records to ``<folder>/<boot>/<nnnnnn>.seg``. Threads may share it.

    The boot's folder appears with its lock already held, so a reader never takes a boot that begins for a dead one.
    """

    def __init__(
        self,
        folder: Path,
        boot: str,
        disk: Disk,
        acknowledgement: Acknowledgement = "batched",
        *,
        batch_ms: int = 5,
        rotate_bytes: int = 64 * 1_024 * 1_024,
    ) -> None:
        self._disk = disk
        self._acknowledgement = acknowledgement
        self._batch_s = batch_ms / 1_000
        self._rotate_bytes = rotate_bytes
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._unwritten: list[bytes] = []
        self._appended = self._written = self._kept = 0  # records, of all that were ever appended
        self._failure: MainspringError | None = None
        self._closing = False
        self._number = 1
        self._turn = threading.Lock()
        self._work = threading.Event()
        self._progress = threading.Condition()
        self._listeners: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        hidden = _begin(folder, boot, disk)
        self._lock = _lock(hidden, boot, disk)
        self._segment: AppendFile = disk.append(hidden / segment_name(1))
        disk.rename(hidden, folder / boot)
        self._folder = folder / boot
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def acknowledgement(self) -> Acknowledgement:
        """Return the stated policy."""
        return self._acknowledgement

    def append(self, record: Record) -> None:
        """Take a record to be written; raises ``Unavailable`` while the disk is full, and then takes nothing."""
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise Unavailable("the spool is closed", field="spool")
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise Unavailable("the disk is slower than the requests", field="spool", remedy="try again in a second")
        data = encode_record(record)
        with self._turn:
            self._waiting_bytes += len(data)
            self._appended += 1
            self._waiting.append(data)
        if not self._work.is_set():
            self._work.set()

    async def durable(self) -> None:
        """Wait until what was appended is on disk, under ``durable``; the other policies do not wait."""
        if self._acknowledgement != "durable":
            return
        loop = asyncio.get_running_loop()
        with self._progress:
            if self._failure is not None:
                raise self._failure
            if self._kept >= self._appended:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._listeners.append((self._appended, loop, future))
        await future

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything appended so far is written (and fsynced, unless ``best_effort``)."""
        goal = self._appended
        with self._progress:
            if not self._progress.wait_for(lambda: self._kept >= goal or self._failure is not None, timeout_s):
                raise Unavailable("the disk did not answer in time", field="spool", remedy="look at the disk")
            if self._kept < goal and self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Write what is waiting and let the boot end; a full disk loses what could not be written, and says so."""
        if self._closing:
            return
        self._closing = True
        self._work.set()
        self._thread.join()
        self._segment.close()
        self._lock.release()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while True:
            self._work.wait()
            closing = self._closing
            self._work.clear()
            self._write_waiting()
            if self._failure is None:
                if closing and not self._waiting:
                    return
                if self._acknowledgement != "durable" and not closing:
                    sleep(self._batch_s)
            elif closing:
                return
            else:
                sleep(RETRY_S)
                self._work.set()

    def _write_waiting(self) -> None:
        with self._turn:
            self._unwritten.extend(self._waiting)
            self._waiting.clear()
        try:
            while self._unwritten:
                self._write_group(self._unwritten[: _fitting(self._unwritten)])
            self._keep()
            self._tell(None)
        except Unavailable as error:
            self._tell(error)
        except OSError as error:
            failure = Unavailable("the disk does not take writes", field="spool", value=str(error))
            failure.__cause__ = error
            self._tell(failure)

    def _write_group(self, records: list[bytes]) -> None:
        if self._segment.size >= self._rotate_bytes:
            self._rotate()
        reached("spool.before_write")
        self._segment.write(encode_group(records))
        del self._unwritten[: len(records)]  # written: a failing fsync must not write it twice
        self._written += len(records)
        with self._turn:
            self._waiting_bytes -= sum(map(len, records))
        reached("spool.after_write")

    def _keep(self) -> None:
        if self._acknowledgement != "best_effort" and self._kept < self._written:
            self._segment.sync()
            reached("spool.after_sync")
        self._kept = self._written

    def _rotate(self) -> None:
        self._segment.sync()
        following = self._disk.append(self._folder / segment_name(self._number + 1))
        self._segment.close()
        self._segment = following
        self._number += 1
        reached("spool.rotated")

    def _tell(self, failure: MainspringError | None) -> None:
        with self._progress:
            self._failure = failure
            done = [item for item in self._listeners if failure is not None or item[0] <= self._kept]
            self._listeners = [item for item in self._listeners if item not in done]
            self._progress.notify_all()
        for goal, loop, future in done:
            outcome = failure if goal > self._kept else None
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_settle, future, outcome)


def _begin(folder: Path, boot: str, disk: Disk) -> Path:
    if not boot or boot.startswith(".") or "/" in boot:
        raise InvalidInput("is not a name for a boot", field="boot", value=boot)
    if boot in disk.list(folder):
        raise Conflict("this boot has written already", field="boot", value=boot, remedy="every start is a new boot")
    hidden = folder / f".{boot}"
    disk.make(hidden)
    return hidden


def _lock(hidden: Path, boot: str, disk: Disk) -> Lock:
    taken = disk.lock(hidden / LOCK)
    if taken is None:
        raise Conflict("another process writes as this boot", field="boot", value=boot)
    return taken


def _fitting(records: list[bytes]) -> int:
    """Return how many of the records go into the next group: at least one."""
    count = size = 0
    for record in records:
        size += len(record)
        if count == MOST_RECORDS or (count and size > MOST_BYTES):
            break
        count += 1
    return count


def _settle(future: asyncio.Future[None], failure: MainspringError | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
