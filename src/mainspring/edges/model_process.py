"""One version in a process of its own: ``python -m mainspring.edges.model_process LAUNCH.json``.

The only place besides training that runs user code. One thread reads sockets and runs the model in turn: while the
model runs, asks wait in the sockets, and those that wait make the next batch, callers before shadows.
"""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.runtimes.frames import Answer, Ask, Launch, Unframer, answer, framed
from mainspring.adapters.runtimes.launching import broken_file
from mainspring.adapters.runtimes.package import load
from mainspring.adapters.runtimes.scorer import LATE, Scorer
from mainspring.adapters.runtimes.waiting import Waiter, Waiting
from mainspring.adapters.runtimes.watchdog import NO_FILES, NO_SOCKET, REFUSED_TO_LOAD, Watchdog, give_up, keep_within
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import MainspringError

BUSY = "failed: too many rows wait"
READ_BYTES = 1 << 18
_SHARE_OF_DEADLINE = 0.25  # for one batch: those that wait meanwhile must still be answered in time
_decode = msgspec.msgpack.Decoder(Ask).decode


class Line:
    """One gateway that is connected."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.frames = Unframer()
        self.unsent = bytearray()
        self.open = True

    def send(self, answer: Answer) -> None:
        """Send what fits now; the rest goes when the gateway reads."""
        self.unsent += framed(answer)
        self.flush()

    def flush(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: self.connection.send(self.unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.open = False


class Server:
    """Answers the gateways of one version at its socket."""

    def __init__(self, scorer: Scorer, waiting: Waiting[Line], path: Path) -> None:
        self._scorer = scorer
        self._waiting = waiting
        self._selector = selectors.DefaultSelector()
        with suppress(FileNotFoundError):
            path.unlink()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(path))
        path.chmod(0o600)
        self._door.listen(64)
        self._door.setblocking(False)
        self._number, self._inode = self._door.fileno(), os.fstat(self._door.fileno()).st_ino
        self._selector.register(self._door, selectors.EVENT_READ)

    def serve(self) -> None:
        """Read what has come, then run one batch of what waits; again and again."""
        while True:
            wait_s = self._waiting.wait_s(time.monotonic())
            self._read(wait_s)
            if self._waiting.wait_s(time.monotonic()) == 0.0:
                self._run(self._waiting.take())

    def _read(self, wait_s: float | None) -> None:
        for key, events in self._selector.select(wait_s):
            if key.data is None:
                self._greet()
                continue
            line: Line = key.data
            if events & selectors.EVENT_WRITE:
                line.flush()
            if events & selectors.EVENT_READ:
                self._receive(line)
            self._settle(line)

    def _greet(self) -> None:
        try:
            connection, _ = self._door.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                give_up("there is no room for one more open file: nobody new could ask it", NO_FILES)
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, Line(connection))

    def look(self) -> None:
        """End this process where its model's code has closed the socket that it is asked at."""
        try:
            is_there = os.fstat(self._number).st_ino == self._inode
        except OSError:
            is_there = False
        if not is_there:
            give_up("its socket was closed by the model's code: nobody new could ask it", NO_SOCKET)

    def _receive(self, line: Line) -> None:
        try:
            data = line.connection.recv(READ_BYTES)
            if not data:
                line.open = False
                return
            for message in line.frames.feed(data):
                ask = _decode(message)
                if not self._waiting.put(ask, line, time.monotonic()):
                    line.send(_none_begun(ask, BUSY))
        except BlockingIOError:
            return
        except (OSError, ValueError, msgspec.DecodeError) as error:
            print(f"a gateway was hung up on: {error}", file=sys.stderr, flush=True)  # noqa: T201
            line.open = False

    def _settle(self, line: Line) -> None:
        """Listen for room to write where something is unsent, and forget a line that is closed."""
        if line.open:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.unsent else 0)
            if self._selector.get_key(line.connection).events != wanted:
                self._selector.modify(line.connection, wanted, line)
        elif line.connection.fileno() >= 0:
            self._selector.unregister(line.connection)
            line.connection.close()

    def _run(self, batch: list[Waiter[Line]]) -> None:
        now_s = time.monotonic()
        begun = []
        for waiter in batch:
            if waiter.until_s <= now_s:
                waiter.line.send(_none_begun(waiter.ask, LATE))
            elif waiter.line.open:  # nobody is there to be told otherwise
                begun.append(waiter)
        if begun:
            reached("model_process.before_run")
            rows = [row for waiter in begun for row in waiter.ask.rows]
            began_s = time.monotonic()
            found = self._scorer.score(rows, max(waiter.until_s for waiter in begun))
            start = 0
            for waiter in begun:
                end = start + len(waiter.ask.rows)
                faults = {row - start: fault for row, fault in found.faults.items() if start <= row < end}
                values, latencies_us = found.values[start:end], found.latencies_us[start:end]
                waiter.line.send(answer(waiter.ask.number, values, faults, latencies_us))
                start = end
            now_s = time.monotonic()
            most_s = self._scorer.slow_us / 1e6 * _SHARE_OF_DEADLINE
            self._waiting.ended(len(rows), now_s, spent_s=now_s - began_s, most_s=most_s)
        for line in {id(waiter.line): waiter.line for waiter in batch}.values():
            self._settle(line)


class Told:
    """The launch file, which the supervisor writes anew when a limit of the model changes."""

    def __init__(self, path: Path, scorer: Scorer, waiting: Waiting[Line]) -> None:
        self._path = path
        self._scorer = scorer
        self._waiting = waiting
        self._seen_ns = path.stat().st_mtime_ns

    def look(self) -> None:
        """Take up what changed."""
        with suppress(OSError, msgspec.DecodeError):
            seen_ns = self._path.stat().st_mtime_ns
            if seen_ns != self._seen_ns:
                launch = msgspec.json.decode(self._path.read_bytes(), type=Launch)
                self._scorer.slow_us, self._waiting.batching = launch.slow_us, launch.batching
                self._seen_ns = seen_ns


def _none_begun(ask: Ask, fault: str) -> Answer:
    count = len(ask.rows)
    return Answer(ask.number, (None,) * count, dict.fromkeys(range(count), fault), (0,) * count)


def main() -> None:
    """Load the version that the launch file names and answer until the parent is gone."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what it printed is kept when it ends, however it ends
    path = Path(sys.argv[1])
    launch = msgspec.json.decode(path.read_bytes(), type=Launch)
    keep_within(launch.limits)
    blobs = FileBlobs(Path(launch.blobs), LocalDisk())
    try:
        runtime = load(launch.version, blobs.get, Path(launch.folder))
    except MainspringError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(REFUSED_TO_LOAD)
    waiting: Waiting[Line] = Waiting(launch.batching)
    alive = Path(launch.socket)
    watchdog = Watchdog(launch.stuck_s, launch.parent, memory_bytes=launch.limits.memory_bytes, alive=alive)
    scorer = Scorer(runtime, watchdog, launch.slow_us, launch.version.signature.task)
    server = Server(scorer, waiting, alive)
    watchdog.on_look = (Told(path, scorer, waiting).look, server.look)
    watchdog.watch()
    broken_file(Path(launch.folder).parent, launch.version.id).unlink(missing_ok=True)
    server.serve()


if __name__ == "__main__":
    main()
