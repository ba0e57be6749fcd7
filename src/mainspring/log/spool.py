"""The writing side of the spool: one writer per boot of a gateway worker, into a folder of its own or into a topic.

``append`` puts records into memory; a thread writes what has gathered every few milliseconds as one group. Records that
are appended together are in the log together or not at all. How much a crash may take is the acknowledgement policy:
``durable`` (nothing that was acknowledged: ``durable()`` waits for the fsync of the group), ``batched`` (the last
``batch_ms``), ``best_effort`` (what the operating system had not written).
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, MainspringError, Unavailable
from mainspring.log.frame import LONGEST_SET_BYTES, MOST_BYTES, MOST_RECORDS, encode_group, encode_set
from mainspring.log.ports import AppendFile, Disk, Lock, Sink
from mainspring.log.records import Record, Stopped
from mainspring.log.waiters import Waiters

Acknowledgement = Literal["durable", "batched", "best_effort"]

LOCK = "lock"
POLICY = "policy"  # a file beside the segments: under which policy this boot acknowledges
POLICY_VERSION = 1
RETRY_S = 0.1
MOST_WAITING_BYTES = 64 * 1_024 * 1_024
MOST_LOST = 1_000


Make = Callable[[], Sequence[Record]]
Taken = tuple[bytes | Make, int, int]  # records that stay together, encoded or to be made; how many; bytes held
Set = tuple[bytes, int, int]


class Policy(msgspec.Struct, frozen=True):
    """Under which policy a boot acknowledges, and how many milliseconds ``batched`` may lose."""

    acknowledgement: Acknowledgement
    batch_ms: int
    version: int = POLICY_VERSION


def segment_name(number: int) -> str:
    """Return a segment's file name.

    >>> segment_name(1)
    '000001.seg'
    """
    return f"{number:06d}.seg"


class Writer:
    """Gathers records and writes them to a sink in groups, in order. Threads may share it.

    A group that the sink does not take is kept and tried again, nothing more is taken meanwhile, and once it went
    through the log itself tells of the stop.
    """

    def __init__(self, sink: Sink, boot: str, acknowledgement: Acknowledgement, *, batch_ms: int) -> None:
        self._sink = sink
        self._acknowledgement = acknowledgement
        self._batch_s = batch_ms / 1_000
        self._waiting: list[Taken] = []
        self._waiting_bytes = 0
        self._unwritten: list[Set] = []
        self._group: tuple[bytes, int] | None = None  # the first sets of those, while the sink has not taken them
        self._appended = self._made = self._written = self._kept = 0  # sets, of all that were ever appended
        self._lost: dict[int, MainspringError] = {}  # what was never made, or made too long, until its caller was told
        self._boot = boot
        self._failing_since_s = 0.0
        self._refused = 0
        self._closing = False
        self._turn = threading.Lock()
        self._work = threading.Event()
        self._waiters = Waiters(lambda: self._kept)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def acknowledgement(self) -> Acknowledgement:
        """Return the stated policy."""
        return self._acknowledgement

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes that were taken and are not in the segment yet."""
        return self._waiting_bytes

    @property
    def failing_s(self) -> float:
        """Return for how many seconds nothing could be written; 0 while all is well."""
        return monotonic() - self._failing_since_s if self._waiters.failure is not None else 0.0

    def append(self, *records: Record) -> int:
        """Take records to be written together; raises ``Unavailable`` while nothing is written, and takes none."""
        data = encode_set(records)
        return self._take(data, len(records), len(data), len(data))

    def append_later(self, make: Make, about_bytes: int, *, held_bytes: int | None = None) -> int:
        """Take records as ``append`` does, but let the writing thread make them.

        They are about so long in the log; what they are made of may hold another multiple of that in memory.

        What they are made of may not change any more. Many made one after the other cost a fraction of what each costs
        in the middle of a request, which finds nothing of it in the processor's caches.
        """
        return self._take(make, 0, about_bytes, about_bytes if held_bytes is None else held_bytes)

    def _take(self, what: bytes | Make, count: int, about_bytes: int, held_bytes: int) -> int:
        if self._waiters.failure is not None:
            self._refused += 1
            raise self._waiters.failure
        if self._closing:
            raise Unavailable("the spool is closed", field="spool")
        if about_bytes > self._sink.most_bytes:
            raise _too_long(about_bytes)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise Unavailable("the log is slower than the requests", field="spool", remedy="try again in a second")
        with self._turn:
            self._waiting_bytes += held_bytes
            self._appended += 1
            number = self._appended
            self._waiting.append((what, count, held_bytes))
        if not self._work.is_set():
            self._work.set()
        return number

    async def durable(self, *sets: int) -> None:
        """Wait until these sets are kept, or all, under ``durable``; raises where one of them never will be."""
        if self._acknowledgement != "durable":
            return
        await self._waiters.until(max(sets, default=self._appended))
        for number in sets:
            if number in self._lost:
                raise self._lost.pop(number)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything appended so far is written (and kept for good, unless ``best_effort``)."""
        late = Unavailable("the log was not written in time", field="spool", remedy="look at the disk or the broker")
        self._waiters.block(self._appended, timeout_s, late)

    def close(self) -> None:
        """Write what is waiting and let the boot end; what no disk or broker takes is lost, and it says so."""
        if self._closing:
            return
        self._closing = True
        self._work.set()
        self._thread.join()
        self._sink.close()
        if self._waiters.failure is not None:
            raise self._waiters.failure

    def _run(self) -> None:
        while True:
            self._work.wait()
            closing = self._closing
            self._work.clear()
            self._write_waiting()
            if self._waiters.failure is None:
                if closing and not self._waiting:
                    return
                if self._acknowledgement != "durable" and not closing:
                    sleep(self._batch_s)
            elif closing and self.failing_s > self._sink.patience_s:
                return
            else:
                sleep(RETRY_S)
                self._work.set()

    def _write_waiting(self) -> None:
        with self._turn:
            waiting, self._waiting = self._waiting, []
        waiting.reverse()
        while waiting:  # what it is made of is let go of before the next one is made
            self._unwritten.append(self._fitted(waiting.pop()))
        try:
            while self._unwritten:
                self._write_group()
            self._keep()
            self._tell(None)
        except Unavailable as error:
            self._tell(error)
        except OSError as error:
            failure = Unavailable("the disk does not take writes", field="spool", value=str(error))
            failure.__cause__ = error
            self._tell(failure)
        except Exception as error:  # whatever it is, this thread must live to try again
            failure = Unavailable("the log cannot be written", field="spool", value=f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._tell(failure)

    def _fitted(self, taken: Taken) -> Set:
        """Make a set; in the place of one that the log can never take, say that it was there: all others go on."""
        self._made += 1
        what, count, held_bytes = taken
        try:
            records = () if isinstance(what, bytes) else what()
            data = what if isinstance(what, bytes) else encode_set(records)
        except Exception:  # one that cannot be made must not stop the others; that it is missing is said aloud
            traceback.print_exc(file=sys.stderr)
            self._lose(Unavailable("could not be written to the log", field="spool", remedy="see its errors"))
            return b"", 0, held_bytes
        if len(data) <= self._sink.most_bytes:
            return data, count or len(records), held_bytes
        told = f"{count or len(records)} records of {len(data)} bytes together are more than the log takes in one piece"
        print(told, file=sys.stderr)  # noqa: T201
        self._lose(_too_long(len(data)))
        return encode_set([Stopped(self._boot, told, 0, 1)]), 1, held_bytes

    def _lose(self, error: MainspringError) -> None:
        """Keep why the set at hand is not in the log, for whoever waits until it is."""
        if self._acknowledgement == "durable":
            self._lost[self._made] = error
        if len(self._lost) > MOST_LOST:  # those of shadows, for which nobody waits
            del self._lost[next(iter(self._lost))]

    def _write_group(self) -> None:
        if self._group is None:
            sets = self._unwritten[: _fitting(self._unwritten, self._sink.group_bytes)]
            self._group = encode_group([one[0] for one in sets], sum(one[1] for one in sets)), len(sets)
        group, count = self._group
        reached("spool.before_write")
        self._sink.write(group)
        held_bytes = sum(one[2] for one in self._unwritten[:count])
        del self._unwritten[:count]  # written: a failing fsync must not write it twice
        self._group = None
        self._written += count
        with self._turn:
            self._waiting_bytes -= held_bytes
        reached("spool.after_write")

    def _keep(self) -> None:
        if self._acknowledgement != "best_effort" and self._kept < self._written:
            self._sink.sync()
            reached("spool.after_sync")
        self._kept = self._written

    def _note_stop(self, failure: MainspringError) -> None:
        """Put the stop itself into the log, so that the ledger can tell of it."""
        lasted_ms = round((monotonic() - self._failing_since_s) * 1_000)
        data = encode_set([Stopped(self._boot, failure.sentence(), lasted_ms, self._refused)])
        self._refused = 0
        with self._turn:
            self._waiting_bytes += len(data)
            self._appended += 1
            self._waiting.append((data, 1, len(data)))
        self._work.set()

    def _tell(self, failure: MainspringError | None) -> None:
        if failure is not None and self._waiters.failure is None:
            self._failing_since_s = monotonic()
        elif failure is None and self._waiters.failure is not None:
            self._note_stop(self._waiters.failure)
        self._waiters.tell(failure)


class SpoolWriter(Writer):
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
        hidden = _begin(folder, boot, disk)
        lock = _lock(hidden, boot, disk)
        disk.write(hidden / POLICY, msgspec.json.encode(Policy(acknowledgement, batch_ms)))
        first = disk.append(hidden / segment_name(1))
        disk.rename(hidden, folder / boot)
        segments = _Segments(folder / boot, disk, lock, first, rotate_bytes)
        super().__init__(segments, boot, acknowledgement, batch_ms=batch_ms)


class _Segments:
    """The folder of one boot: groups go to the end of its newest segment."""

    group_bytes = MOST_BYTES
    most_bytes = LONGEST_SET_BYTES  # what is longer is read as damage
    patience_s = 0.0

    def __init__(self, folder: Path, disk: Disk, lock: Lock, first: AppendFile, rotate_bytes: int) -> None:
        self._folder = folder
        self._disk = disk
        self._lock = lock
        self._segment = first
        self._rotate_bytes = rotate_bytes
        self._number = 1

    def write(self, group: bytes) -> None:
        if self._segment.size >= self._rotate_bytes:
            self._rotate()
        self._segment.write(group)

    def sync(self) -> None:
        self._segment.sync()

    def close(self) -> None:
        self._segment.close()
        self._lock.release()

    def _rotate(self) -> None:
        self._segment.sync()
        following = self._disk.append(self._folder / segment_name(self._number + 1))
        self._segment.close()
        self._segment = following
        self._number += 1
        reached("spool.rotated")


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


def _fitting(sets: list[Set], group_bytes: int) -> int:
    """Return how many of the sets go into the next group: at least one."""
    fitting = records = size = 0
    for data, count, _ in sets:
        size += len(data)
        records += count
        if fitting and (records > MOST_RECORDS or size > group_bytes):
            break
        fitting += 1
    return fitting


def _too_long(size: int) -> InvalidInput:
    what = "is more than the log takes in one piece"
    return InvalidInput(what, field="body", value=size, remedy="send fewer rows at once")
