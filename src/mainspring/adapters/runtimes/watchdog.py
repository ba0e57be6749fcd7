"""What a model process bounds itself to before it loads anything, and a thread that ends it when it goes wrong."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mainspring.adapters.runtimes.frames import ProcessLimits

REFUSED_TO_LOAD = 3
STUCK = 70
TOO_LARGE = 71
NO_FILES = 72
NO_SOCKET = 73
ENDINGS = {
    REFUSED_TO_LOAD: "it refused to load its version",
    STUCK: "its model did not come back",
    TOO_LARGE: "it held more memory than it may",
    NO_FILES: "it held as many open files as it may, and could be asked no more",
    NO_SOCKET: "its code closed its socket",
}
LOOK_EVERY_S = 0.5


class Watchdog:
    """Ends a process whose model does not come back or grows too large, or whose supervisor is gone.

    The supervisor starts it anew. Each of ``on_look`` is called at each look; ``alive`` is a file whose time is moved
    on, so that the supervisor sees a process that can no longer even look.
    """

    def __init__(
        self,
        stuck_s: float,
        parent: int,
        *,
        memory_bytes: int = ProcessLimits().memory_bytes,
        alive: Path | None = None,
    ) -> None:
        self._stuck_s = stuck_s
        self._parent = parent
        self._memory_bytes = memory_bytes
        self._alive = alive
        self.on_look: tuple[Callable[[], None], ...] = ()
        self._since: float | None = None

    def watch(self) -> None:
        """Watch from a thread, until the process ends."""
        threading.Thread(target=self._look, daemon=True).start()

    def begin(self) -> None:
        """Note that the model was called."""
        self._since = time.monotonic()

    def end(self) -> None:
        """Note that it came back."""
        self._since = None

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            since = self._since
            if since is not None and time.monotonic() - since > self._stuck_s:
                give_up(f"the model did not come back within {self._stuck_s:g} s", STUCK)
            held_bytes = _held_bytes()
            if held_bytes > self._memory_bytes:
                give_up(
                    f"it holds {held_bytes >> 20} MiB in memory, and may hold {self._memory_bytes >> 20} MiB", TOO_LARGE
                )
            if os.getppid() != self._parent:
                if os.getpgrp() == os.getpid():
                    os.killpg(os.getpgrp(), signal.SIGKILL)  # with all that its code started
                os._exit(0)
            if self._alive is not None:
                with suppress(OSError):
                    os.utime(self._alive)
            for look in self.on_look:
                look()


def keep_within(limits: ProcessLimits) -> None:
    """Bound what this process may use: address space for data, open files, the size of a file, tasks, no core dumps."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, limits.files)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    # What is mapped is more than what is held: the limit is for one that asks for everything at once.
    _lower(resource.RLIMIT_DATA, 2 * limits.memory_bytes)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_NPROC, _tasks_of_user() + limits.more_tasks)


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _tasks_of_user() -> int:
    """Count this user's threads: the kernel's limit is one for all of them together."""
    count, user = 0, os.getuid()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                count += len(os.listdir(process / "task")) if process.stat().st_uid == user else 0
    return count


def _held_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # elsewhere than on Linux only the most that it ever held is known
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def give_up(words: str, code: int) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(code)
