"""Start, watch, restart and stop the processes of one home."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mainspring.adapters.pulse import Patience, Turning, feel, turning
from mainspring.adapters.runtimes.words import ENDED, WORDS, tail, write
from mainspring.adapters.upfile import ProcessState
from mainspring.kernel.errors import InvalidInput, MainspringError, Misconfigured, Refused, Unavailable

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_STEADY_S = 10.0  # a process that lived this long starts again at once
READY_S = 60.0
_LOOK_EVERY_S = 1.0
REFUSED_WAIT_S = 60.0
CANNOT_WORK = 78  # as sysexits has it: by its settings it cannot work, and will not by being started again


class Process:
    """One supervised process. It is restarted with back-off whenever it ends, until it is told to stop.

    One that stands still for ``patience_s`` is ended and started anew; one that cannot work by its settings is left
    alone until these change, and tried again every ``refused_wait_s``: what they name, such as a certificate, may be
    mended without. What it prints stands in ``<folder>/<name>.log``, the newest megabytes of it, however much that is.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        patience_s: float = math.inf,
        *,
        refused_wait_s: float = REFUSED_WAIT_S,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.failures = 0  # in a row
        self.why = ""
        self._folder = folder
        self._patience = Patience(patience_s)
        self._looked_s = 0.0
        self._seen: Turning | None = None
        self._noted = True  # how it ended
        self._still = False  # it was ended because it stood still
        self._refused_by: object = None
        self._refused_wait_s = refused_wait_s
        self._arguments = [sys.executable, "-m", "mainspring.edges.supervised", str(os.getpid()), module, *arguments]
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._wait_s = _FIRST_WAIT_S
        self._started_s = 0.0
        self._next_start_s = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        words, pipe = os.pipe()
        try:
            self._child = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                env=self._environment,
            )
        finally:
            os.close(pipe)
        WORDS.keep(words, self._log)
        self._started_s = time.monotonic()
        self._noted, self._seen, self._patience = False, None, Patience(self._patience.most_s)

    def watch(self, settings: object = None) -> None:
        """Start the process again if it has ended and its wait is over; end it if it stands still.

        ``settings`` changes whenever the settings do.
        """
        now_s = time.monotonic()
        if self._child is None:
            return
        if self._child.poll() is None:
            if now_s - self._started_s > _STEADY_S:
                self.failures = 0
            self._end_if_still(now_s)
            return
        if not self._noted:
            self._note(now_s)
            self._refused_by = settings
        mended = self.refuses and settings != self._refused_by
        if mended or now_s >= self._next_start_s:
            self.restarts += 1
            self.start()

    @property
    def refuses(self) -> bool:
        """Tell whether it ended because its settings cannot work."""
        return self.exit_code == CANNOT_WORK

    @property
    def state(self) -> ProcessState:
        """Return what is said of it to whoever asks."""
        state: Literal["runs", "waits", "refuses"] = "runs" if self.pid else "refuses" if self.refuses else "waits"
        return ProcessState(self.name, state, self.pid, self.restarts, self.failures, self.why)

    def _note(self, now_s: float) -> None:
        """Note how the process ended, and when it starts again."""
        steady = now_s - self._started_s > _STEADY_S
        self._wait_s = _FIRST_WAIT_S if steady else min(2 * self._wait_s, _LONGEST_WAIT_S)
        self._next_start_s = now_s + (self._refused_wait_s if self.refuses else self._wait_s)
        self.failures = 1 if steady else self.failures + 1
        self._noted = True
        if not self._still:
            self.why = f"{_ending(self.exit_code)}: {self.last_words()}"
        self._still = False

    def _end_if_still(self, now_s: float) -> None:
        """End the process if it has not turned for too long though nothing kept it from it."""
        if now_s - self._looked_s < _LOOK_EVERY_S or self._child is None or self._still:
            return
        self._looked_s = now_s
        pulse = feel(self._folder, self.name)
        if pulse is None or pulse.pid != self._child.pid:
            return  # it has not begun to turn
        if not os.access(self._folder, os.W_OK):
            return  # a disk that was made read-only: whoever turns cannot say so
        found, before = turning(pulse.pid, pulse.thread), self._seen
        self._seen = found
        at_work = found is None or found.is_at_work(before)
        if self._patience.has_ended(beat=pulse.beat, at_work=at_work, now_s=now_s):
            how = ", it was stopped" if found is not None and found.is_stopped else ""
            self.why = f"it did not turn for {self._patience.most_s:g} s{how}, and was ended to be started anew"
            self._still = True
            write(self._log, f"{ENDED}{self.why}\n".encode())
            self._child.kill()

    def tell(self) -> None:
        """Ask the process to end, without waiting for it."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def stop(self, grace_s: float = 10.0) -> None:
        """Ask the process to end, and end it if it has not within ``grace_s``."""
        if self._child is None:
            return
        self.tell()
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        WORDS.wait_for(self._log, 1.0)

    def last_words(self) -> str:
        """Return the last line that the process wrote, and where the others are."""
        WORDS.wait_for(self._log, 1.0)
        text = tail(self._log)
        said = [line.strip() for line in text.splitlines() if line.strip()]
        return f"{said[-1] if said else 'it said nothing'}; its log is {self._log}"


def await_ready(process: Process, ready: Path, *, limit_s: float = READY_S) -> None:
    """Wait until ``process`` has written ``ready``; raise ``Unavailable`` with its last words if it ends first."""
    deadline_s = time.monotonic() + limit_s
    while not ready.exists():
        if process.refuses:
            raise Misconfigured(f"the {process.name} process cannot work: {process.last_words()}")
        if process.exit_code is not None or time.monotonic() > deadline_s:
            raise Unavailable(f"the {process.name} process did not start: {process.last_words()}")
        time.sleep(0.02)


@contextmanager
def by_settings() -> Iterator[None]:
    """Tell what is wrong here as what it is: settings by which a process cannot work, however often it is started."""
    try:
        yield
    except (InvalidInput, Refused) as error:
        raise Misconfigured(error.what, field=error.field, value=error.value, remedy=error.remedy) from None


def ending_of(error: MainspringError) -> int:
    """Return the code that a process ends with that could not start; what is away may come back."""
    return CANNOT_WORK if isinstance(error, Misconfigured) else 1


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"it ended with code {code}"
    known = {one.value: one.name for one in signal.Signals}  # real-time signals have no names of their own
    return f"it was ended by {known.get(-code, f'signal {-code}')}"


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
