"""``mainspring up``: supervise control, gateways and model processes of one home."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from mainspring.adapters.home import Home, create_home
from mainspring.adapters.settings import read_settings
from mainspring.adapters.upfile import UpFile, write_up
from mainspring.edges.network import closed, encryption
from mainspring.edges.processes import READY_S, Process, await_ready
from mainspring.edges.surroundings import child_environment, of_gateway, of_models
from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import Conflict, InvalidInput, Misconfigured

_WATCH_EVERY_S = 0.1
_REST_S = 8.0  # for a gateway's shadows and spool, once nothing is under way
_SAY_EVERY_S = 1.0
_MODELS_PATIENCE = 10  # times that of the others: what keeps model processes running waits for graphs from a bucket
_OTHERS_END_S = 3.0  # what a killed supervisor has left listens until it has finished


class Supervisor:
    """The processes of one home, started in an order in which each finds what it needs."""

    def __init__(
        self,
        home: Home,
        *,
        host: str,
        port: int,
        control_port: int,
        control_host: str = "127.0.0.1",
        workers: int = 1,
        standby: bool = False,
    ) -> None:
        if workers > 1 and sys.platform != "linux":
            raise InvalidInput("only Linux shares one port", field="workers", value=workers, remedy="use 1")
        self.home = home
        settings, _ = read_settings(home.root)
        for one in (host, control_host):
            closed(settings, one)  # refused here and now, not in a process that is started over and over
        scheme = "https" if encryption(settings) else "http"
        self._limits = settings.limits
        self.url = f"{scheme}://{host}:{port}"
        self.page = f"{scheme}://{control_host}:{control_port}/"
        at = ["--home", str(home.root)]
        environment = child_environment()
        folder = home.run
        patience_s = parse_duration(settings.replace_hanging_after).total_seconds()
        self._patience_s = patience_s
        self._said: tuple[object, ...] = ()
        self._said_s = 0.0
        self._standby = standby
        waits = ["--standby"] if standby else []
        self.control = Process(
            "control", "mainspring.edges.control", [*at, "--host", control_host, "--port", str(control_port), *waits],
            folder, environment, patience_s,
        )  # fmt: skip
        self.models = Process(
            "models",
            "mainspring.edges.gateway.models",
            at,
            folder,
            of_models(environment, settings),
            _MODELS_PATIENCE * patience_s,
        )
        answering = of_gateway(environment, settings)
        gateway = [*at, "--host", host, "--port", str(port), "--workers", str(workers)]
        self.gateways = [
            Process(
                f"gateway-{number}",
                "mainspring.edges.gateway",
                [*gateway, "--worker", str(number)],
                folder,
                answering,
                patience_s,
            )
            for number in range(1, workers + 1)
        ]
        _refuse_taken(host, port)
        _refuse_taken(control_host, control_port)

    @property
    def processes(self) -> list[Process]:
        return [self.control, self.models, *self.gateways]

    def start(self) -> None:
        """Start all processes and return when control answers; gateways are ready once there is something to route.

        One that stands by waits for as long as another control has the home.
        """
        (self.home.run / "control.json").unlink(missing_ok=True)
        for old in (*self.home.run.glob("*.pulse"), self.home.run / "up.json"):
            old.unlink(missing_ok=True)
        self.control.start()
        await_ready(self.control, self.home.run / "control.json", limit_s=math.inf if self._standby else READY_S)
        for process in (self.models, *self.gateways):
            process.start()

    def watch(self) -> None:
        """Start again what has ended, end what stands still, and say how all of them are.

        Raises ``Misconfigured`` where one of them could never work. One that did, and is kept from it by settings that
        were changed since, is left alone until they are changed again, or for a minute; the others go on.
        """
        settings = self._settings_mark()
        for process in self.processes:
            process.watch(settings)
            if process.refuses and not process.restarts:
                raise Misconfigured(f"the {process.name} process cannot work: {process.last_words()}")
        self._say()

    def _settings_mark(self) -> object:
        try:
            return (self.home.root / "settings.toml").stat().st_mtime_ns
        except OSError:
            return None

    def _say(self) -> None:
        """Leave word of the processes in ``run/up.json``, whenever something changed."""
        now_s = time.monotonic()
        states = tuple(process.state for process in self.processes)
        if states != self._said and now_s - self._said_s > _SAY_EVERY_S:
            self._said, self._said_s = states, now_s
            with suppress(OSError):  # a full disk ends no process
                write_up(self.home.run, UpFile(os.getpid(), states, self._patience_s))

    def stop(self) -> None:
        """Stop what takes requests first, control last, so that what was answered is also taken into the log."""
        for gateway in self.gateways:
            gateway.tell()
        for gateway in self.gateways:
            gateway.stop(self._limits.drain_notice_s + self._limits.drain_s + _REST_S)
        for process in (self.models, self.control):
            process.stop()
        (self.home.run / "up.json").unlink(missing_ok=True)


@contextmanager
def supervised(
    home: Home,
    *,
    host: str,
    port: int,
    control_port: int,
    control_host: str = "127.0.0.1",
    workers: int = 1,
    standby: bool = False,
) -> Iterator[Supervisor]:
    """Run the processes of a home for the length of a ``with`` block; one supervisor a home."""
    with _only_one(home):
        supervisor = Supervisor(
            home,
            host=host,
            port=port,
            control_port=control_port,
            control_host=control_host,
            workers=workers,
            standby=standby,
        )
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.stop()


def up(
    home: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    control_port: int = 8081,
    control_host: str = "127.0.0.1",
    workers: int = 1,
    standby: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Run everything until SIGTERM or SIGINT; with ``standby`` once no other control has the home any more."""
    stopping: list[int] = []
    waiting = standby

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)
        if waiting:
            raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    made = create_home(home)
    if standby:
        say("standing by: this takes over when no other control has the home")
    with supervised(
        made,
        host=host,
        port=port,
        control_host=control_host,
        control_port=control_port,
        workers=workers,
        standby=standby,
    ) as running:
        waiting = False
        say(f"page     {running.page}")
        say(f"gateway  {running.url}  ({workers} worker{'s' if workers > 1 else ''})")
        say("stop with Ctrl-C")
        while not stopping:
            running.watch()
            time.sleep(_WATCH_EVERY_S)
        say("stopping")


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    handle = os.open(home.run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Conflict(
            "this home is up already",
            field="home",
            value=str(home.root),
            remedy="stop the other one, or name another --home",
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _refuse_taken(host: str, port: int) -> None:
    until_s = time.monotonic() + _OTHERS_END_S
    while not _is_free(host, port):
        if time.monotonic() > until_s:
            raise InvalidInput(
                "is taken by another program",
                field="port",
                value=port,
                remedy="name a free one with --port or --control-port",
            )
        time.sleep(0.05)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
