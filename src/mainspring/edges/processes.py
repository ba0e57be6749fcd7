"""Start, watch, restart and stop the processes of one home."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mainspring.adapters.jobs.local import FRUGAL
from mainspring.adapters.runtimes.words import WORDS, tail
from mainspring.kernel.errors import Unavailable

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_STEADY_S = 10.0  # a process that lived this long starts again at once
READY_S = 60.0
_DATABASE = ("MAINSPRING_STORE", "PGPASSWORD", "PGPASSFILE", "MAINSPRING_LEDGER_KEY", "MAINSPRING_MLFLOW_TOKEN")


class Process:
    """One supervised process. It is restarted with back-off whenever it ends, until it is told to stop.

    What it prints stands in ``<folder>/<name>.log``, the newest megabytes of it, however much that is.
    """

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.restarts = 0
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

    def watch(self) -> None:
        """Start the process again if it has ended and its wait is over."""
        if self._child is None or self._child.poll() is None:
            return
        now_s = time.monotonic()
        if self._next_start_s <= self._started_s:
            steady = now_s - self._started_s > _STEADY_S
            self._wait_s = _FIRST_WAIT_S if steady else min(2 * self._wait_s, _LONGEST_WAIT_S)
            self._next_start_s = now_s + self._wait_s
        if now_s >= self._next_start_s:
            self.restarts += 1
            self.start()

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


def child_environment() -> dict[str, str]:
    """Return the environment that our own processes get: one thread for numeric libraries unless told otherwise."""
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("POLARS_MAX_THREADS", "2")
    for name, value in FRUGAL.items():
        environment.setdefault(name, value)
    return environment


def without_database(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a process that only answers: what opens database and ledger stays with control."""
    return {name: value for name, value in environment.items() if name not in _DATABASE}


def await_ready(process: Process, ready: Path, *, limit_s: float = READY_S) -> None:
    """Wait until ``process`` has written ``ready``; raise ``Unavailable`` with its last words if it ends first."""
    deadline_s = time.monotonic() + limit_s
    while not ready.exists():
        if process.exit_code is not None or time.monotonic() > deadline_s:
            raise Unavailable(f"the {process.name} process did not start: {process.last_words()}")
        time.sleep(0.02)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
