"""Keeps the running model processes equal to what the routing asks for, again and again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from mainspring.adapters.runtimes.frames import Launch, ProcessLimits, socket_path
from mainspring.adapters.runtimes.launching import (
    Place,
    broken_file,
    end_group,
    launch_file,
    start,
    words_file,
    write_launch,
)
from mainspring.adapters.runtimes.watchdog import ENDINGS
from mainspring.adapters.runtimes.words import ENDED, write
from mainspring.kernel.errors import MainspringError
from mainspring.registry.model import Batching
from mainspring.serving.routing import Routing, VersionRoute

GRACE_S = 5.0  # a gateway may still hold the snapshot that named the version
LOAD_S = 300.0
_FIRST_BACK_OFF_S = 0.2
_LONGEST_BACK_OFF_S = 30.0
_FAILURES_TO_GIVE_UP_WAITING = 2
_PATIENCE_S = 60.0


class Terms(msgspec.Struct, frozen=True):
    """What a version's process is held to, as the models that use it say."""

    slow_us: int = 1_000_000
    batching: Batching = Batching()


class Running(msgspec.Struct):
    """One model process as its supervisor sees it. ``sign`` is the last sign of life, and when it was seen."""

    process: subprocess.Popen[bytes] | None
    terms: Terms = Terms()
    failures: int = 0
    not_before_s: float = 0.0
    started_s: float = 0.0
    unwanted_since_s: float | None = None
    sign: int = 0
    sign_s: float = 0.0


class ModelProcesses:
    """One process a version that is not in the gateway: started, restarted with back-off, stopped when not needed."""

    def __init__(
        self,
        *,
        run: Path,
        blobs: Path,
        environments: Path | None = None,
        environ: Mapping[str, str] | None = None,
        limits: ProcessLimits | None = None,
    ) -> None:
        self._place = Place(run, blobs, environments)
        self._run = run
        self._environ = environ
        self._limits = limits or ProcessLimits()
        self._running: dict[str, Running] = {}

    def reconcile(self, routing: Routing) -> None:
        """Start what is wanted and not there, stop what is there and not wanted. Call it several times a second."""
        terms = _terms(routing)
        wanted = {version.id: version for version in routing.versions if not version.package.in_gateway}
        for version in wanted.values():
            self._keep(version, terms.get(version.id, Terms()))
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

    def _keep(self, version: VersionRoute, terms: Terms) -> None:
        running = self._running.setdefault(version.id, Running(None))
        running.unwanted_since_s = None
        now_s = time.monotonic()
        if running.process is not None:
            self._end_if_dead(version.id, running, now_s)
            code = running.process.poll()
            if code is None:
                if terms != running.terms:
                    self._tell(version.id, running, terms)
                return
            end_group(running.process)
            self._ended(version.id, running, _ending(code), now_s)
        if now_s < running.not_before_s:
            return
        try:
            running.process = start(
                version,
                self._place,
                slow_us=terms.slow_us,
                batching=terms.batching,
                environ=self._environ,
                limits=self._limits,
            )
        except (MainspringError, OSError) as error:
            self._ended(version.id, running, str(error), now_s)
            return
        running.terms = terms
        running.started_s = running.sign_s = now_s
        running.sign = 0

    def _ended(self, id: str, running: Running, how: str, now_s: float) -> None:
        lived_s = now_s - running.started_s if running.process is not None else 0.0
        running.failures = 1 if lived_s > _LONGEST_BACK_OFF_S else running.failures + 1
        wait_s = min(_FIRST_BACK_OFF_S * 2 ** (running.failures - 1), _LONGEST_BACK_OFF_S)
        running.not_before_s = now_s + wait_s
        running.process = None
        words = f"{ENDED}ended after {lived_s:.1f} s: {how}; it is started again in {wait_s:.1f} s\n"
        write(words_file(self._run, id), words.encode())
        if running.failures >= _FAILURES_TO_GIVE_UP_WAITING:
            broken_file(self._run, id).touch()

    def _end_if_dead(self, id: str, running: Running, now_s: float) -> None:
        """Kill a process that gives no sign of life: its own watchdog cannot run while native code keeps it from it."""
        try:
            sign = socket_path(self._run, id).stat().st_mtime_ns
        except OSError:
            sign = 0
        if sign != running.sign:
            running.sign, running.sign_s = sign, now_s
        patience_s = LOAD_S if running.sign == 0 else max(_PATIENCE_S, 30 * running.terms.slow_us / 1e6)
        if now_s - running.sign_s > patience_s and running.process is not None:
            end_group(running.process)
            running.process.wait()

    def _tell(self, id: str, running: Running, terms: Terms) -> None:
        launch = msgspec.json.decode(launch_file(self._run, id).read_bytes(), type=Launch)
        changed = msgspec.structs.replace(launch, slow_us=terms.slow_us, batching=terms.batching)
        write_launch(self._run, changed)
        running.terms = terms

    def _stop(self, id: str) -> None:
        running = self._running.pop(id)
        if running.process is not None:
            running.process.terminate()
            try:
                running.process.wait(2)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
            end_group(running.process)
        shutil.rmtree(self._run / f"{id}.code", ignore_errors=True)
        for path in (socket_path(self._run, id), launch_file(self._run, id), broken_file(self._run, id)):
            with suppress(FileNotFoundError):
                path.unlink()


def _ending(code: int) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"{ENDINGS[code]} (code {code})" if code in ENDINGS else f"it ended with code {code}"


def _terms(routing: Routing) -> dict[str, Terms]:
    found: dict[str, Terms] = {}
    for model in routing.models:
        drawn = model.release.challengers if model.release else ()
        for version in (model.champion, *drawn, *model.pinned, *(shadow.version for shadow in model.shadows)):
            slow_us = 1_000 * model.deadline_ms
            if version in found:
                slow_us = min(slow_us, found[version].slow_us)
            found[version] = Terms(slow_us, model.batching)
    return found
