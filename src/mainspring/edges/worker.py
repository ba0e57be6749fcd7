"""A worker: reads a specification, runs one job, writes immutable files and a result, and ends.

Started as ``python -m mainspring.edges.worker FOLDER``. It opens no store; what it made counts once control took it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import MainspringError, WorkerFailed, shorten, unknown

KINDS = {
    "apply": "mainspring.project.evaluate:run",
    "train": "mainspring.adapters.runtimes.asking:train",
    "backtest": "mainspring.adapters.runtimes.asking:backtest",
    "judge": "mainspring.adapters.runtimes.asking:judge",
    "recompute": "mainspring.adapters.runtimes.recompute:run",
    "answer": "mainspring.adapters.runtimes.answers:run",
    "rehearse": "mainspring.adapters.jobs.understudy:run",
    "graph": "mainspring.training.graphs:inspect",
    "environment": "mainspring.adapters.environments.build:run",
    "record": "mainspring.adapters.environments.record:run",
}
Work = Callable[[dict[str, Any], Path], dict[str, Any]]


def main(folder: Path) -> int:
    """Run the job of a folder; the exit code is 0 if it gave a manifest."""
    _end_with_parent()
    order = msgspec.json.decode((folder / "spec.json").read_bytes())
    try:
        result = {"manifest": _work(order["kind"])(order["spec"], folder)}
    except MainspringError as error:
        result = {"error": _told(error)}
    except BaseException as error:  # users' code may raise anything, or end the process
        import traceback

        traceback.print_exc()
        result = {"error": _told(WorkerFailed(f"{type(error).__name__}: {str(error)[:500]}", field=order["kind"]))}
    reached("worker.before_result")
    _write(folder / "result.json", msgspec.json.encode(result))
    reached("worker.after_result")
    return 1 if "error" in result else 0


def _work(kind: str) -> Work:
    if kind not in KINDS:
        raise unknown("kind of job", kind, KINDS)
    module, _, name = KINDS[kind].partition(":")
    work: Work = getattr(importlib.import_module(module), name)
    return work


def _told(error: MainspringError) -> dict[str, Any]:
    value = error.value if isinstance(error.value, (str, int, float, bool, type(None))) else shorten(error.value)
    return {
        "code": error.code,
        "what": error.what,
        "field": error.field,
        "value": value,
        "remedy": error.remedy,
    }


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(path)


def _end_with_parent() -> None:
    """End this process group when whoever started it is gone: nobody would take the result."""
    parent = int(os.environ.get("MAINSPRING_PARENT", "0"))
    if not parent or os.getpgrp() != os.getpid():
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="parent").start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
