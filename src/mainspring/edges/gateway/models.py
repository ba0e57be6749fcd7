"""Keeps the model processes of a home running: ``python -m mainspring.edges.gateway.models --home H``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.runtimes.frames import ProcessLimits
from mainspring.adapters.runtimes.supervisor import ModelProcesses
from mainspring.adapters.settings import read_settings
from mainspring.kernel.errors import MainspringError

LOOK_EVERY_S = 0.1


def main() -> None:
    """Supervise until a signal ends it; then the model processes end too."""
    options = argparse.ArgumentParser(prog="mainspring models", description="Run the model processes of a home.")
    options.add_argument("--home", type=Path, required=True)
    given = options.parse_args()
    stop = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stop.set())
    try:
        supervise(Home(given.home), stop)
    except MainspringError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)


def supervise(home: Home, stop: threading.Event) -> None:
    """Look at the routing ten times a second and make the processes equal to it, until ``stop`` is set."""
    file = RoutingFile(home.routing, LocalDisk())
    settings, _ = read_settings(home.root)
    limits = ProcessLimits(memory_bytes=settings.model_memory_mb * 1024**2)
    processes = ModelProcesses(run=home.run, blobs=home.blobs, environments=home.environments, limits=limits)
    seen, routing = None, None
    try:
        while not stop.is_set():
            mark = file.mark()
            if mark is not None and mark != seen:
                try:
                    routing, seen = file.read(), mark
                except MainspringError as error:
                    print(error, file=sys.stderr, flush=True)  # noqa: T201
            if routing is not None:
                processes.reconcile(routing)
            stop.wait(LOOK_EVERY_S)
    finally:
        processes.stop()


if __name__ == "__main__":
    main()
