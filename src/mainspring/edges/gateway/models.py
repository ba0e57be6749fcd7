"""Keeps the model processes of a home running: ``python -m mainspring.edges.gateway.models --home H``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.places import open_blobs
from mainspring.adapters.pulse import Pulse
from mainspring.adapters.routing import RoutingFile
from mainspring.adapters.runtimes.frames import ProcessLimits
from mainspring.adapters.runtimes.supervisor import ModelProcesses
from mainspring.adapters.settings import read_settings
from mainspring.edges.processes import by_settings, ending_of
from mainspring.kernel.errors import MainspringError
from mainspring.log.ports import Blobs
from mainspring.serving.routing import Routing

LOOK_EVERY_S = 0.1
BRING_AGAIN_S = 5.0


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
        sys.exit(ending_of(error))


class Bringing:
    """Brings what model processes load into the home's folder, where it lies already unless the blobs are elsewhere."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._here: set[str] = set()
        self._next_s = 0.0

    def __call__(self, routing: Routing) -> None:
        """Bring what is missing; what cannot be had now is tried again a little later."""
        versions = [version for version in routing.versions if not version.package.in_gateway]
        wanted = {digest for version in versions for digest in version.package.files.values()}
        self._here &= wanted
        if time.monotonic() < self._next_s:
            return
        for digest in wanted - self._here:
            try:
                self._blobs.path(digest)
            except MainspringError as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201
                self._next_s = time.monotonic() + BRING_AGAIN_S
                return
            self._here.add(digest)


def supervise(home: Home, stop: threading.Event) -> None:
    """Look at the routing ten times a second and make the processes equal to it, until ``stop`` is set."""
    file = RoutingFile(home.routing, LocalDisk())
    with by_settings():
        settings, _ = read_settings(home.root, alarms=False)
    bring = Bringing(open_blobs(home, settings))
    limits = ProcessLimits(memory_bytes=settings.model_memory_mb * 1024**2)
    processes = ModelProcesses(run=home.run, blobs=home.blobs, environments=home.environments, limits=limits)
    seen, routing = None, None
    pulse = Pulse(home.run, "models")
    pulse.begin()
    try:
        while not stop.is_set():
            pulse.beat()
            mark = file.mark()
            if mark is not None and mark != seen:
                try:
                    routing, seen = file.read(), mark
                except MainspringError as error:
                    print(error, file=sys.stderr, flush=True)  # noqa: T201
            if routing is not None:
                bring(routing)
                processes.reconcile(routing)
            stop.wait(LOOK_EVERY_S)
    finally:
        processes.stop()
        pulse.end()


if __name__ == "__main__":
    main()
