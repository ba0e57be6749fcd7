"""Jobs as local processes: each leads a process group of its own, so that ending it ends all that it started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel import errors
from mainspring.kernel.errors import InvalidProject, MainspringError, Unavailable, WorkerFailed
from mainspring.kernel.ids import new_id
from mainspring.training.ports import Job, Result

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
CRASH_AT, CRASH_RECORD = "MAINSPRING_CRASH_AT", "MAINSPRING_CRASH_RECORD"
TAIL_BYTES = 4_000
# Allocators keep pages that are no longer needed, for good or for long, unless they are told to give them back at once:
# a third of a worker's memory. The first is that of Polars, the others are the C library's.
FRUGAL = {
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:2",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000",
}
_POLL_S = 0.02
_RAISED: dict[str, type[MainspringError]] = {
    one.code: one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, MainspringError) and one is not InvalidProject
}


class LocalJobs:
    """Starts ``python -m mainspring.edges.worker`` once a job; ``threads`` is what numeric libraries may use.

    By default one core is left to those who answer: two OpenMP threads beside a busy gateway wait for each other, and
    take longer than one. ``side_by_side`` jobs may share a piece of work, and then share the threads, too.
    """

    def __init__(self, staging: Path, *, threads: int | None = None, side_by_side: int | None = None) -> None:
        self._staging = staging
        self._threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._side_by_side = side_by_side or self._threads
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._cancelled: set[str] = set()
        self._guard = threading.Lock()
        self._swept = False
        self._stopped = False

    @property
    def side_by_side(self) -> int:
        return self._side_by_side

    def run(self, job: Job) -> Result:
        job_id = job.id or new_id("job")
        folder = self._folder(job_id)
        (folder / "spec.json").write_bytes(msgspec.json.encode({"kind": job.kind, "spec": job.spec}))
        try:
            code = self._attend(job, job_id, folder)
            return Result(_manifest(job, folder, code, cancelled=job_id in self._cancelled), folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._guard:
                self._running.pop(job_id, None)
                self._cancelled.discard(job_id)

    def discard(self, result: Result) -> None:
        shutil.rmtree(result.folder, ignore_errors=True)

    def cancel(self, job_id: str) -> bool:
        """End a running job and all that it started; say whether there was one."""
        with self._guard:
            process = self._running.get(job_id)
            if process is None:
                return False
            self._cancelled.add(job_id)
        _end(process)
        return True

    def stop(self) -> None:
        """End every running job and take no more."""
        with self._guard:
            self._stopped = True
            running = list(self._running)
        for job_id in running:
            self.cancel(job_id)

    def _folder(self, job_id: str) -> Path:
        with self._guard:
            if not self._swept:
                self._swept = True
                shutil.rmtree(self._staging, ignore_errors=True)  # what a process before us left unfinished
        folder = self._staging / job_id
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise Unavailable("a job has no room to work", field="staging", value=str(error)) from error
        return folder

    def _attend(self, job: Job, job_id: str, folder: Path) -> int | None:
        process = self._start(job, job_id, folder)
        deadline_s = time.monotonic() + job.timeout_s
        said = 0
        try:
            while process.poll() is None and time.monotonic() < deadline_s:
                said = _progress(job, folder, said)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
            _progress(job, folder, said)
            return process.poll()
        finally:
            _end(process)

    def _start(self, job: Job, job_id: str, folder: Path) -> subprocess.Popen[bytes]:
        with self._guard, (folder / "stdout.log").open("wb") as stdout, (folder / "stderr.log").open("wb") as stderr:
            if self._stopped:
                raise Unavailable("no more jobs are taken: this process is stopping", field="job")
            process = self._running[job_id] = subprocess.Popen(
                [sys.executable, "-P", "-m", "mainspring.edges.worker", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=self._environment(job.shared_by),
                start_new_session=True,
            )
        return process

    def _environment(self, shared_by: int) -> dict[str, str]:
        threads = str(max(1, self._threads // shared_by))
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        armed = os.environ.get(CRASH_AT, "")
        if armed.startswith("worker."):
            passed |= {CRASH_AT: armed, CRASH_RECORD: os.environ.get(CRASH_RECORD, "")}
        return {
            **passed,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            **FRUGAL,
            "OMP_WAIT_POLICY": "passive",  # threads that spin on a busy machine made one fit eight times slower
            "PYTHONHASHSEED": "0",  # the same inputs give the same bytes
            "PYTHONDONTWRITEBYTECODE": "1",
            "MAINSPRING_PARENT": str(os.getpid()),
        }


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _progress(job: Job, folder: Path, said: int) -> int:
    path = folder / "progress.jsonl"
    if job.on_progress is None or not path.exists():
        return said
    lines = path.read_bytes().split(b"\n")[:-1]
    for line in lines[said:]:
        share, words = msgspec.json.decode(line, type=tuple[float, str])
        job.on_progress(share, words)
    return len(lines)


def _manifest(job: Job, folder: Path, code: int | None, *, cancelled: bool) -> dict[str, Any]:
    if cancelled:
        raise WorkerFailed("was cancelled", field=job.kind)
    if code is None:
        remedy = "raise its time limit or make it faster"
        raise WorkerFailed(f"did not end within {job.timeout_s:g} s and was stopped", field=job.kind, remedy=remedy)
    path = folder / "result.json"
    if not path.exists():
        words = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code} and no result"
        raise WorkerFailed(f"{words}{_tail(folder)}", field=job.kind)
    result = msgspec.json.decode(path.read_bytes())
    if "error" in result:
        raise _raised(result["error"])
    manifest: dict[str, Any] = result["manifest"]
    return manifest


def _raised(error: dict[str, Any]) -> MainspringError:
    known = _RAISED.get(error["code"], WorkerFailed)
    return known(error["what"], field=error["field"], value=error["value"], remedy=error["remedy"])


def _tail(folder: Path) -> str:
    path = folder / "stderr.log"
    words = path.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip() if path.exists() else ""
    return f"; its last words:\n{words}" if words else ""
