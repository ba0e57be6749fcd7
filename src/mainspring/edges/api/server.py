"""Control's listener: Granian with one worker on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from mainspring.adapters.pulse import BEAT_S, Pulse
from mainspring.edges.api.address import ControlAddress, new_address, withdraw_address, write_address
from mainspring.edges.api.app import build
from mainspring.edges.api.guard import Locks
from mainspring.edges.network import closed, encryption, reachable
from mainspring.kernel.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from mainspring.platform import Platform

_START_S = 15.0


class ControlServer:
    """Answers for an open platform; beyond loopback only with keys, and with TLS or behind a proxy.

    ``start`` returns once it answers and ``run/control.json`` stands.
    """

    def __init__(self, platform: Platform, *, host: str = "127.0.0.1", port: int = 0) -> None:
        settings = platform.settings
        self._encrypted = encryption(settings)
        self._names = settings.hosts
        needs_keys = closed(settings, host)
        self.address = new_address(host, _free_port(host, port), str(self._encrypted.get("ssl_cert", "")))
        self._root = platform.home.root
        keys, now_us = platform.keys.routes, platform.clock.now_us
        locks = Locks(self.address, closed=needs_keys, keys=keys, now_us=now_us)
        self._app = build(platform, locks, self._hosts)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="control-http", daemon=True)
        self._server: Server | None = None
        self._pulse = Pulse(platform.home.run, "control")

    def start(self) -> ControlAddress:
        self._thread.start()
        self._wait()
        write_address(self._root, self.address)
        return self.address

    def stop(self) -> None:
        withdraw_address(self._root, self.address)
        if self._server is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.stop)
            self._thread.join(timeout=10)

    def __enter__(self) -> ControlServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _hosts(self) -> frozenset[bytes]:
        port = self.address.port
        own = (f"{name}:{port}" for name in ("127.0.0.1", "localhost", self.address.host))
        return frozenset(name.lower().encode() for name in (*own, *self._names))

    def _beat(self) -> None:
        """Show for as long as this loop turns that it does."""
        self._pulse.beat()
        self._loop.call_later(BEAT_S, self._beat)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._pulse.begin()
        self._loop.call_soon(self._beat)
        self._server = Server(
            self._app,
            address=self.address.host,
            port=self.address.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=5_000, max_buffer_size=64 * 1024),
            websockets=False,
            log_enabled=False,
            backlog=128,
            **self._encrypted,
        )
        try:
            self._loop.run_until_complete(self._server.serve())
        finally:
            self._loop.close()
            self._pulse.end()

    def _wait(self) -> None:
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends and self._thread.is_alive():
            try:
                socket.create_connection((reachable(self.address.host), self.address.port), timeout=0.2).close()
                return
            except OSError:
                time.sleep(0.01)
        raise Unavailable("control did not start", field="port", value=self.address.port, remedy="see its log")


def _free_port(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise Conflict("is taken", field="port", value=port, remedy="name another with --control-port") from None
        return int(probe.getsockname()[1])
