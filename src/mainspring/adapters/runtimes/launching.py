"""Starts the process of one version: in its own environment, without secrets, with one thread, its words kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from mainspring.adapters.runtimes.environments import borrowed, interpreter
from mainspring.adapters.runtimes.frames import Launch, ProcessLimits, socket_path
from mainspring.adapters.runtimes.words import WORDS
from mainspring.registry.model import Batching
from mainspring.serving.routing import VersionRoute

_CRASHES = ("MAINSPRING_CRASH_AT", "MAINSPRING_CRASH_RECORD")
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", *_CRASHES)
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Place(msgspec.Struct, frozen=True):
    """Where model processes find and leave things: sockets and words in ``run``, and the folders of a home."""

    run: Path
    blobs: Path
    environments: Path | None = None


def start(
    version: VersionRoute,
    place: Place,
    *,
    slow_us: int = 1_000_000,
    stuck_s: float | None = None,
    environ: Mapping[str, str] | None = None,
    socket: Path | None = None,
    batching: Batching | None = None,
    limits: ProcessLimits | None = None,
) -> subprocess.Popen[bytes]:
    """Start one version's process; its words go to ``run/<version>.log``.

    Raises ``Unavailable`` where the version has an environment of its own and that is not built.
    """
    place.run.mkdir(parents=True, exist_ok=True)
    folder = place.run / f"{version.id}.code"
    folder.mkdir(exist_ok=True)
    path = socket or socket_path(place.run, version.id)
    launch = Launch(
        version,
        str(place.blobs),
        str(path),
        str(folder),
        slow_us,
        max(30.0, 20 * slow_us / 1e6) if stuck_s is None else stuck_s,
        os.getpid(),
        batching or Batching(),
        limits or ProcessLimits(),
    )
    write_launch(place.run, launch)
    python, clean = _surroundings(version, place, os.environ if environ is None else environ)
    command = [python, "-P", "-m", "mainspring.edges.model_process", str(launch_file(place.run, version.id))]
    words, pipe = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            env=clean,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it starts is ended with it
        )
    except OSError:
        os.close(words)
        raise
    finally:
        os.close(pipe)
    WORDS.keep(words, words_file(place.run, version.id))
    return process


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what a version's process started and left, after it ended or to end it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _surroundings(version: VersionRoute, place: Place, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the interpreter and the environment's variables: those that are allowed, and one thread."""
    clean = {name: given[name] for name in _PASSED_ON if name in given} | dict.fromkeys(_ONE_THREAD, "1")
    if not version.lock:
        return sys.executable, clean
    clean.pop("VIRTUAL_ENV", None)
    return str(interpreter(place.environments, version.lock)), {**clean, "PYTHONPATH": str(borrowed(place.run))}


def write_launch(run: Path, launch: Launch) -> None:
    """Write what a process is told, in one step: it may be looking."""
    file = launch_file(run, launch.version.id)
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(launch))
    fresh.replace(file)


def launch_file(run: Path, version: str) -> Path:
    """Return the file that tells a version's process what to run."""
    return run / f"{version}.launch.json"


def words_file(run: Path, version: str) -> Path:
    """Return the file with what a version's process printed."""
    return run / f"{version}.log"


def broken_file(run: Path, version: str) -> Path:
    """Return the file that stands while a version's process cannot stay up; gateways do not wait for such a one."""
    return run / f"{version}.broken"
