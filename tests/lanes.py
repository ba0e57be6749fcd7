"""Runs every test, folder by folder, two at a time in a process each, and what measures or looks back last and alone.

Started as ``python tests/lanes.py [ARGUMENT …]``; the arguments go to each pytest. On one core there is one lane.
``python -m pytest tests`` runs the same tests in one process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
# The longest begin first, and what kills runs beside what only computes, for as long as that lasts.
FIRST = ("crash", "machine", "unit", "statistics", "property", "shape", "story", "edge")
# One compares what a machine does with itself, the other looks at whom all before it killed.
LAST = ("load", "crash/test_moments.py")
_POLL_S = 0.1
_TIDY_S = 30.0


class Lane(NamedTuple):
    """Tests that are running, and where what they say is kept until they are over."""

    name: str
    process: subprocess.Popen[bytes]
    said: Path
    begun_s: float


def folders() -> list[str]:
    """Return every folder that holds tests, in the order in which they are begun; a new one need not be listed."""
    found = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")} - set(LAST)
    return [name for name in FIRST if name in found] + sorted(found - set(FIRST))


def run(arguments: Sequence[str]) -> bool:
    """Run all folders, show what each said once it is over, and tell whether all passed."""
    with tempfile.TemporaryDirectory(prefix="mainspring-lanes-") as place:
        os.environ["MAINSPRING_CRASH_RECORD"] = str(Path(place) / "names")
        before = [*arguments, *[f"--ignore={TESTS.name}/{one}" for one in LAST]]
        failed = _run([(name,) for name in folders()], before, Path(place), at_once=min(2, _cores()))
        failed += _run([LAST], arguments, Path(place), at_once=1)
    _show(f"--- not all passed in {', '.join(failed)}\n" if failed else "--- all passed\n")
    return not failed


def _run(waiting: list[tuple[str, ...]], arguments: Sequence[str], place: Path, *, at_once: int) -> list[str]:
    """Return the names of what did not pass."""
    running: list[Lane] = []
    failed = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_started(waiting.pop(0), arguments, place))
            time.sleep(_POLL_S)
            for lane in [one for one in running if one.process.poll() is not None]:
                running.remove(lane)
                _tell(lane)
                if lane.process.returncode != 0:
                    failed.append(lane.name)
    finally:  # where we are interrupted: as from a keyboard, so that each ends what its tests have started
        for lane in running:
            lane.process.send_signal(signal.SIGINT)
        for lane in running:
            _end(lane.process)
            _tell(lane)
    return failed


def _started(paths: tuple[str, ...], arguments: Sequence[str], place: Path) -> Lane:
    command = [sys.executable, "-m", "pytest", *[f"{TESTS.name}/{path}" for path in paths], *arguments]
    name, file = ", ".join(paths), place / f"{paths[0]}.out"
    with file.open("wb") as said:
        process = subprocess.Popen(command, cwd=TESTS.parent, stdout=said, stderr=subprocess.STDOUT)
    _show(f"--- {name} is running\n")
    return Lane(name, process, file, time.monotonic())


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_TIDY_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tell(lane: Lane) -> None:
    took_s, code = time.monotonic() - lane.begun_s, lane.process.returncode
    ended = f"ended with code {code}" if code else "passed"
    _show(f"{lane.said.read_text(errors='replace')}\n--- {lane.name} {ended} after {took_s:.0f} s\n")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may let it be ignored
    sys.exit(not run(sys.argv[1:]))
