"""The control process: holds the home's lock, serves the API and the page, consumes the spool and turns the loop."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

from mainspring.adapters.home import Home, HomeLock
from mainspring.adapters.pulse import Pulse
from mainspring.adapters.settings import read_settings
from mainspring.edges.network import closed, encryption
from mainspring.edges.processes import by_settings, ending_of
from mainspring.kernel.errors import Conflict, MainspringError
from mainspring.platform import Platform, notifiers_of, open_platform

log = logging.getLogger("mainspring.control")

_INGEST_EVERY_S = 0.1
_STEP_EVERY_S = 5.0
_MIRROR_EVERY_S = 1.0
_MIRROR_ENDS_S = 15.0
_LOST_EVERY_S = 0.5
_OTHERS_END_S = 10.0  # a command that holds the home, or the control of a supervisor that was killed


class LoopThread(threading.Thread):
    """Turns the loop on the system's clock. In a simulation only the driver does."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(name="loop", daemon=True)
        self._platform = platform
        self._over = threading.Event()
        self._trouble = ""
        self._disabled: set[str] = set()
        self._pulse = Pulse(platform.home.run, "loop")

    def run(self) -> None:
        turn = 0
        self._pulse.begin()
        while not self._over.wait(_INGEST_EVERY_S):
            self._pulse.beat()
            try:
                if turn % round(_STEP_EVERY_S / _INGEST_EVERY_S) == 0 or self._taken_out():
                    self._platform.loop.step(wait=False)
                else:
                    self._platform.loop.ingest()
                self._trouble = ""
            except Exception as error:
                self._tell(error)
            turn += 1
        self._pulse.end()

    def _taken_out(self) -> bool:
        """Tell whether a gateway has just taken a version out by itself: all the others must follow at once."""
        disabled = set(self._platform.acknowledged().disabled)
        fresh, self._disabled = disabled - self._disabled, disabled
        return bool(fresh)

    def _tell(self, error: Exception) -> None:
        """Log an error once, not ten times a second while it lasts."""
        if str(error) == self._trouble:
            return
        self._trouble = str(error)
        if isinstance(error, MainspringError):
            log.error("loop: %s", error)
        else:
            log.error("loop: a turn failed; the next one starts from what is stored", exc_info=error)

    def stop(self) -> None:
        self._over.set()
        self.join(30)


class MirrorThread(threading.Thread):
    """Tells a tracker what is, beside everything else: nothing waits for it."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(name="mirror", daemon=True)
        self._platform = platform
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_MIRROR_EVERY_S):
            try:
                self._platform.mirror.step()
            except Exception as error:  # the next turn starts from what is stored
                log.error("mirror: a turn failed", exc_info=error)

    def stop(self) -> None:
        self._over.set()
        self.join(_MIRROR_ENDS_S)


def serve(home: Home, port: int, *, host: str = "127.0.0.1", standby: bool = False) -> None:
    """Run control until SIGTERM or SIGINT; with ``standby`` wait for the home for as long as another has it."""
    from mainspring.edges.api.server import ControlServer

    with by_settings():
        settings, _ = read_settings(home.root)
        notifiers_of(settings)
        closed(settings, host)
        encryption(settings)
    wait_s = math.inf if standby else _OTHERS_END_S
    with (
        HomeLock(home.root, "control", wait_s=wait_s),
        closing(open_platform(home, purpose="control", wait_s=wait_s)) as platform,
    ):
        stopping = threading.Event()  # one that stands by has done nothing yet: signals end it at once
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        platform.loop.recover()
        turning, mirroring = LoopThread(platform), MirrorThread(platform)
        with ControlServer(platform, host=host, port=port):
            if not home.simulated:
                turning.start()
                mirroring.start()
            while not stopping.wait(_LOST_EVERY_S):
                if platform.lost:
                    raise Conflict("another control has taken over this home", field="home", value=str(home.root))
            platform.stop_jobs()  # a command that waits for one gets its answer before the listener closes
        if mirroring.is_alive():
            mirroring.stop()
        if turning.is_alive():
            turning.stop()
            platform.loop.ingest()  # gateways have ended by now: what they answered goes into the log


def main(arguments: list[str] | None = None) -> int:
    """Entry of ``python -m mainspring.edges.control``."""
    parser = argparse.ArgumentParser(prog="mainspring control")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--standby", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(Home(options.home), options.port, host=options.host, standby=options.standby)
    except MainspringError as error:
        sys.stderr.write(f"{error}\n")
        return ending_of(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
