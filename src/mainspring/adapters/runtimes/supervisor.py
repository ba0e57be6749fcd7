"""Keeps the running model processes equal to what the routing asks for, again and again."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from mainspring.adapters.runtimes.frames import Launch, socket_path
from mainspring.serving.routing import Routing, VersionRoute

GRACE_S = 5.0  # a gateway may still hold the snapshot that named the version
_FIRST_BACK_OFF_S = 0.2
_LONGEST_BACK_OFF_S = 30.0
_FAILURES_TO_GIVE_UP_WAITING = 2
_MEMORY_BYTES = 4 * 1024**3
_FILES = 256
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "MAINSPRING_CRASH_AT")
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Running(msgspec.Struct):
    """One model process as its supervisor sees it."""

    process: subprocess.Popen[bytes] | None
    failures: int = 0
    not_before_s: float = 0.0
    started_s: float = 0.0
    unwanted_since_s: float | None = None


class ModelProcesses:
    """One process a version that is not in the gateway: started, restarted with back-off, stopped when not needed."""

    def __init__(self, *, run: Path, blobs: Path, environ: Mapping[str, str] | None = None) -> None:
        self._run = run
        self._blobs = blobs
        self._environ = os.environ if environ is None else environ
        self._running: dict[str, Running] = {}

    def reconcile(self, routing: Routing) -> None:
        """Start what is wanted and not there, stop what is there and not wanted. Call it several times a second."""
        slow_us = {version: 1_000 * deadline for version, deadline in _deadlines(routing).items()}
        wanted = {version.id: version for version in routing.versions if not version.package.in_gateway}
        for version in wanted.values():
            self._keep(version, slow_us.get(version.id, 1_000_000))
        now_s = time.monotonic()
        for id in [id for id in self._running if id not in wanted]:
            running = self._running[id]
            if running.unwanted_since_s is None:
                running.unwanted_since_s = now_s
            elif now_s - running.unwanted_since_s > GRACE_S:
                self._stop(id)

    def pids(self) -> dict[str, int]:
        """Return the process ids by version."""
        return {id: running.process.pid for id, running in self._running.items() if running.process is not None}

    def stop(self) -> None:
        """Stop them all."""
        for id in list(self._running):
            self._stop(id)

    def _keep(self, version: VersionRoute, slow_us: int) -> None:
        running = self._running.setdefault(version.id, Running(None))
        running.unwanted_since_s = None
        now_s = time.monotonic()
        if running.process is not None:
            if running.process.poll() is None:
                return
            lived_s = now_s - running.started_s
            running.failures = 1 if lived_s > _LONGEST_BACK_OFF_S else running.failures + 1
            wait_s = min(_FIRST_BACK_OFF_S * 2 ** (running.failures - 1), _LONGEST_BACK_OFF_S)
            running.not_before_s = now_s + wait_s
            running.process = None
            if running.failures >= _FAILURES_TO_GIVE_UP_WAITING:
                broken_file(self._run, version.id).touch()
        if now_s >= running.not_before_s:
            running.process = start(version, self._run, self._blobs, slow_us=slow_us, environ=self._environ)
            running.started_s = now_s

    def _stop(self, id: str) -> None:
        running = self._running.pop(id)
        if running.process is not None:
            running.process.terminate()
            try:
                running.process.wait(2)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        shutil.rmtree(self._run / f"{id}.code", ignore_errors=True)
        for path in (socket_path(self._run, id), self._run / f"{id}.launch.json", broken_file(self._run, id)):
            with suppress(FileNotFoundError):
                path.unlink()


def broken_file(run: Path, version: str) -> Path:
    """Return the file that stands while a version's process cannot stay up; gateways do not wait for such a one."""
    return run / f"{version}.broken"


def start(
    version: VersionRoute,
    run: Path,
    blobs: Path,
    *,
    slow_us: int = 1_000_000,
    stuck_s: float | None = None,
    environ: Mapping[str, str] | None = None,
    socket: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start one version's process: no secrets, bounded memory, one thread; its words go to ``run/<version>.log``."""
    run.mkdir(parents=True, exist_ok=True)
    folder = run / f"{version.id}.code"
    folder.mkdir(exist_ok=True)
    path = socket or socket_path(run, version.id)
    patience_s = max(30.0, 20 * slow_us / 1e6) if stuck_s is None else stuck_s
    launch = Launch(version, str(blobs), str(path), str(folder), slow_us, patience_s, os.getpid())
    file = run / f"{version.id}.launch.json"
    file.write_bytes(msgspec.json.encode(launch))
    given = os.environ if environ is None else environ
    clean = {name: given[name] for name in _PASSED_ON if name in given} | dict.fromkeys(_ONE_THREAD, "1")
    with (run / f"{version.id}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mainspring.edges.model_process", str(file)],
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_limits,  # noqa: PLW1509 - the supervisor has one thread
        )


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))


def _deadlines(routing: Routing) -> dict[str, int]:
    found: dict[str, int] = {}
    for model in routing.models:
        drawn = (model.release.challenger,) if model.release else ()
        for version in (model.champion, *drawn, *model.pinned, *(shadow.version for shadow in model.shadows)):
            found[version] = min(model.deadline_ms, found.get(version, model.deadline_ms))
    return found
