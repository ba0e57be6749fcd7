"""Keeps what model processes print: the last megabytes of each, however much it prints."""

from __future__ import annotations

import os
import selectors
import threading
import time
from contextlib import suppress
from pathlib import Path

KEPT_BYTES = 1 << 20
READ_BYTES = 1 << 16
ENDED = "mainspring: "  # what a supervisor adds to the words of a process begins so
_BREATH_S = 0.005  # between two looks, so that a model that prints without end is held back by its own pipe


class Words:
    """Reads the pipes of any number of processes from one thread, and writes to a file each, which is turned when full.

    What is older than the newest ``KEPT_BYTES`` to twice that is gone.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self, pipe: int, path: Path) -> None:
        """Read ``pipe`` to its end into ``path``; the pipe is closed then."""
        os.set_blocking(pipe, False)
        with self._turn:
            self._selector.register(pipe, selectors.EVENT_READ, path)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, daemon=True, name="words")
                self._thread.start()

    def wait_for(self, path: Path, most_s: float) -> None:
        """Wait until the pipe of ``path`` was read to its end, but not long: something may hold it open."""
        until_s = time.monotonic() + most_s
        while self._reads(path) and time.monotonic() < until_s:
            time.sleep(_BREATH_S)

    def _reads(self, path: Path) -> bool:
        with self._turn:
            return any(key.data == path for key in self._selector.get_map().values())

    def _read(self) -> None:
        while True:
            with self._turn:
                ready = self._selector.select(0)
            for key, _ in ready:
                self._take(key.fd, key.data)
            time.sleep(_BREATH_S if ready else 4 * _BREATH_S)

    def _take(self, pipe: int, path: Path) -> None:
        try:
            data = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            with self._turn:
                self._selector.unregister(pipe)
            os.close(pipe)
            return
        write(path, data)


def write(path: Path, data: bytes) -> None:
    """Append to a file that is turned when it is full; a full disk loses words, never a process."""
    with suppress(OSError):
        if path.exists() and path.stat().st_size + len(data) > KEPT_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        with path.open("ab") as file:
            file.write(data[-KEPT_BYTES:])


def tail(path: Path, most_bytes: int = READ_BYTES) -> str:
    """Return the newest words of a file and of the one before it."""
    found = b""
    for one in (path, path.with_name(path.name + ".1")):
        if len(found) < most_bytes and one.exists():
            with one.open("rb") as file:
                wanted = most_bytes - len(found)
                file.seek(max(0, one.stat().st_size - wanted))
                found = file.read(wanted) + found
    return found.decode(errors="replace")


WORDS = Words()
