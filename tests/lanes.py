"""Runs every test: what computes beside what starts servers, in a process each, and then what must not be disturbed.

Started as ``python tests/lanes.py [ARGUMENT …]``; the arguments go to each pytest. A machine with one core runs one
lane after the other. ``python -m pytest tests`` runs the same tests in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

TESTS = Path(__file__).resolve().parent
COMPUTE = ("machine", "property", "shape", "statistics", "unit")
LAST = ("crash", "load")  # they kill, count and compare: a busy machine makes that slower and harder to read


def serving() -> tuple[str, ...]:
    """Return the folders that are named nowhere above: a new one is run without being listed."""
    found = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    return tuple(sorted(found - {*COMPUTE, *LAST}))


def run(arguments: Sequence[str]) -> bool:
    """Run the lanes, show what each said as one piece, and tell whether all passed."""
    first, second = COMPUTE, serving()
    codes = {}
    if _cores() < 2:
        codes[first], codes[second] = _started(first, arguments).wait(), _started(second, arguments).wait()
    else:
        with tempfile.TemporaryFile() as said, ExitStack() as stack:
            beside = _started(first, arguments, said)
            stack.callback(beside.wait)
            stack.callback(beside.terminate)  # where we are interrupted; otherwise it is over by then
            codes[second], codes[first] = _started(second, arguments).wait(), beside.wait()
            said.seek(0)
            _show(f"--- what {', '.join(first)} said meanwhile\n{said.read().decode(errors='replace')}")
    codes[LAST] = _started(LAST, arguments).wait()
    failed = [name for lane, code in codes.items() if code != 0 for name in lane]
    _show(f"--- not all passed in {', '.join(failed)}\n" if failed else "--- all passed\n")
    return not failed


def _started(
    folders: Sequence[str], arguments: Sequence[str], said: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    if said is None:
        _show(f"--- {', '.join(folders)}\n")
    command = [sys.executable, "-m", "pytest", *[f"{TESTS.name}/{name}" for name in folders], *arguments]
    return subprocess.Popen(command, cwd=TESTS.parent, stdout=said, stderr=said and subprocess.STDOUT)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mainspring-killed-") as folder:
        os.environ["MAINSPRING_CRASH_RECORD"] = str(Path(folder) / "names")  # the last lane looks at whom all killed
        passed = run(sys.argv[1:])
    sys.exit(not passed)
