"""What a gateway and a model process say to each other: a 4-byte length, then MessagePack."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.values import Vector
from mainspring.registry.model import Batching
from mainspring.serving.routing import VersionRoute

LONGEST_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")
_LONGEST_SOCKET_NAME = 100  # the kernel's limit is 107 bytes on Linux, 103 on macOS


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """Rows to score. A row that has not begun by ``until_us`` is not begun at all.

    The time is that of the machine's monotonic clock, which all its processes share: an ask may lie in the socket for
    as long as the model is busy.
    """

    number: int
    rows: tuple[tuple[Any, ...], ...]
    until_us: int
    shadow: bool = False


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One value a row, None where ``faults`` says why: ``late``, ``invalid``, or ``failed: …``.

    ``latencies_us`` are what each row took: its own time, or its share of the time of its batch. Where a model gives
    several numbers a row, ``vectors`` has them, and ``values`` the one that stands for them.
    """

    number: int
    values: tuple[float | None, ...]
    faults: dict[int, str]
    latencies_us: tuple[int, ...]
    vectors: tuple[tuple[float, ...] | None, ...] = ()

    def whole(self) -> Answer:
        """Return the answer with a ``Vector`` for each value that is one."""
        pairs = zip(self.values, self.vectors, strict=True)
        values = tuple([None if one is None or row is None else Vector(one, row) for one, row in pairs])
        return Answer(self.number, values, self.faults, self.latencies_us)


class ProcessLimits(msgspec.Struct, frozen=True):
    """What one model process may use. ``memory_bytes`` is what it holds in memory; above it, it is started anew."""

    memory_bytes: int = 4 * 1024**3
    files: int = 256
    more_tasks: int = 512
    file_bytes: int = 1024**3


class Launch(msgspec.Struct, frozen=True):
    """What a model process is told when it is started; it ends when ``parent`` is its parent no more.

    ``slow_us`` and ``batching`` may change while it runs: it looks at its file again and again.
    """

    version: VersionRoute
    blobs: str
    socket: str
    folder: str
    slow_us: int = 1_000_000
    stuck_s: float = 60.0
    parent: int = 0
    batching: Batching = Batching()
    limits: ProcessLimits = ProcessLimits()


def answer(number: int, values: Sequence[float | None], faults: dict[int, str], latencies_us: Sequence[int]) -> Answer:
    """Return an answer as it can be sent."""
    if any(isinstance(value, Vector) for value in values):
        plain = tuple([None if value is None else float(value) for value in values])
        several = tuple([value.numbers if isinstance(value, Vector) else None for value in values])
        return Answer(number, plain, faults, tuple(latencies_us), several)
    return Answer(number, tuple(values), faults, tuple(latencies_us))


def framed(message: msgspec.Struct) -> bytes:
    """Return a message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class Unframer:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LONGEST_BYTES:
                raise ValueError(f"a message of {length} bytes is longer than any that is sent")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages


def socket_path(run: Path, version: str) -> Path:
    """Return the socket of a version: in ``run``, or in a private temporary folder where that name is too long."""
    wanted = run / f"{version}.sock"
    if len(os.fsencode(wanted)) <= _LONGEST_SOCKET_NAME:
        return wanted
    name = hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mainspring-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} is open to others")
    return folder / f"{version}.sock"
