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
from mainspring.adapters.runtimes.supervisor import ModelProcesses
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
    processes = ModelProcesses(run=home.run, blobs=home.blobs)
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
