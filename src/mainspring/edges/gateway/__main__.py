"""One gateway worker: ``python -m mainspring.edges.gateway --home H --port P [--worker N]``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.home import Home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.places import open_blobs
from mainspring.adapters.pulse import BEAT_S, Pulse
from mainspring.adapters.settings import Settings, read_settings
from mainspring.adapters.spools import spool_opener
from mainspring.edges.gateway.app import Gateway
from mainspring.edges.gateway.http.listener import Listener
from mainspring.edges.gateway.journal import Journal
from mainspring.edges.gateway.loader import Loader
from mainspring.edges.gateway.told import Witness
from mainspring.edges.network import closed, tls
from mainspring.edges.processes import by_settings, ending_of
from mainspring.kernel.errors import Conflict, InvalidInput, MainspringError

_LAST_WORDS_S = 2.0
_SWITCH_S = 0.001  # the thread that writes the log may keep the interpreter so long while a request waits
_OTHER_FILES = 512  # segments, graphs, views, lines to model processes


class RunFile(msgspec.Struct, frozen=True):
    """``run/<worker>.json``: where a worker listens."""

    worker: str
    pid: int
    host: str
    port: int


def main() -> None:
    """Serve until a signal ends it."""
    options = argparse.ArgumentParser(prog="mainspring gateway", description="Answer predictions from a home.")
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True, help="0 takes a free one")
    options.add_argument("--worker", type=int, default=0, help="the number of this worker")
    options.add_argument("--workers", type=int, default=1, help="how many share the port")
    given = options.parse_args()
    sys.setswitchinterval(_SWITCH_S)
    try:
        asyncio.run(serve(Home(given.home), given.host, given.port, f"gateway-{given.worker}", given.workers))
    except MainspringError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(ending_of(error))


async def serve(home: Home, host: str, port: int, worker: str, workers: int = 1) -> None:
    """Run one worker on this loop until SIGTERM or SIGINT, then finish what is under way."""
    disk = LocalDisk()
    with by_settings():
        settings, _ = read_settings(home.root, alarms=False)
        keys_needed, encrypted = closed(settings, host), tls(settings)
        new_spool = spool_opener(settings, home.spool, disk)
    if workers > 1 and sys.platform != "linux":
        raise InvalidInput("only Linux shares one port", field="workers", value=workers, remedy="use 1")
    port = _free_port(host, port, home.run)

    def latest() -> LmdbLatest:
        return LmdbLatest(home.latest, read_only=True)

    blobs = open_blobs(home, settings)
    limits = settings.limits
    _allow_files(2 * limits.connections + _OTHER_FILES)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every caller that hangs up on its answers
    journal = Journal(worker, share=settings.log_requests)
    loader = Loader(home.run, blobs.get, limits.model_requests, journal.event)
    witnesses = _witnesses(settings, journal, worker)
    gateway = Gateway(
        home, disk, home.clock(), worker, loader, latest, limits,
        new_spool=new_spool, journal=journal, witnesses=witnesses, closed=keys_needed, workers=workers,
    )  # fmt: skip
    listener = Listener(gateway, limits)
    # written first: another worker that finds the port taken must find by whom
    disk.write(home.run / f"{worker}.json", msgspec.json.encode(RunFile(worker, os.getpid(), host, port)))
    pulse, beating = Pulse(home.run, worker), None
    try:
        await listener.listen(host, port, encrypted)
        gateway.start()
        beating = asyncio.get_running_loop().create_task(_beat(pulse))
        await _serve_until_told(listener, gateway)
    finally:
        await gateway.close()
        if beating is not None:
            beating.cancel()
        pulse.end()
        disk.remove(home.run / f"{worker}.json")
        journal.event("stopped")
        for witness in gateway.listeners:
            witness.close(_LAST_WORDS_S)


async def _beat(pulse: Pulse) -> None:
    """Show for as long as this loop turns that it does."""
    pulse.begin()
    while True:
        pulse.beat()
        await asyncio.sleep(BEAT_S)


def _allow_files(wanted: int) -> None:
    """Let this process open so many files, if it may: a crowd of connections must not take those of the log."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with suppress(ValueError, OSError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))


def _witnesses(settings: Settings, journal: Journal, worker: str) -> Sequence[Witness]:
    """Return who hears of answers: nobody, unless the settings ask for it."""
    heard: list[Witness] = [journal] if settings.log_requests else []
    if settings.otlp_endpoint:
        from mainspring.edges.gateway.spans import Spans

        heard.append(Spans(settings.otlp_endpoint, worker, share=settings.trace_share))
    return heard


async def _serve_until_told(listener: Listener, gateway: Gateway) -> None:
    """Serve until a signal; then say that it is no more ready, stop accepting, and finish what is under way."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(kind, told.set)
    await told.wait()
    gateway.drain()
    await asyncio.sleep(gateway.limits.drain_notice_s)
    await listener.close(gateway.limits.drain_s)


def _free_port(host: str, port: int, run: Path) -> int:
    """Return the port, or a free one for 0; refuse one that anybody else than workers of this home listens on.

    Workers share their port by SO_REUSEPORT, with which the kernel would also let a stranger's share it.
    """
    if port and _taken_by_us(run, port):
        return port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if port and _taken_by_us(run, port):  # it began just now
                return port
            raise Conflict("the port cannot be used", field="port", value=port, remedy=str(error.strerror)) from None
        return int(probe.getsockname()[1])


def _taken_by_us(run: Path, port: int) -> bool:
    return any(_is_ours(file, port) for file in run.glob("gateway-*.json"))


def _is_ours(file: Path, port: int) -> bool:
    try:
        other = msgspec.json.decode(file.read_bytes(), type=RunFile)
        os.kill(other.pid, 0)
    except (OSError, msgspec.DecodeError):
        return False
    return other.port == port and other.pid != os.getpid()


if __name__ == "__main__":
    main()
