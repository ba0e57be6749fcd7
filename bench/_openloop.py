"""An open loop: requests leave by the clock whatever comes back. ``python bench/_openloop.py`` reads its order as JSON.

Each answer has two times: when the kernel had it, which is the server's doing, and when this client read it, which is
the client's as well. One thread, no event loop: it must ask more often than a gateway can answer.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections import deque
from typing import Any

SO_TIMESTAMPING, RECEIVED = 37, (1 << 3) | (1 << 4)
AT_ONCE = 64
LATE_S = 1.5


class Lines:
    """The connections, those that are free, and what came of what was asked."""

    def __init__(self, port: int, count: int) -> None:
        self._poll = select.epoll()
        self._by_number: dict[int, socket.socket] = {}
        self.free: deque[int] = deque()
        self.asked_s: dict[int, float] = {}
        self.server_s: dict[int, list[float]] = {}  # by status
        self.client_s: dict[int, list[float]] = {}
        self.lost = 0
        for _ in range(count):
            line = socket.create_connection(("127.0.0.1", port))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RECEIVED)
            line.setblocking(False)
            self._poll.register(line.fileno(), select.EPOLLIN)
            self._by_number[line.fileno()] = line
            self.free.append(line.fileno())

    def ask(self, request: bytes) -> None:
        number = self.free.popleft()
        self.asked_s[number] = time.time()
        self._by_number[number].send(request)

    def hear(self, wait_s: float) -> None:
        for number, _ in self._poll.poll(wait_s, 256):
            data, notes, _, _ = self._by_number[number].recvmsg(65_536, 128)
            read_s = time.time()
            if not data:
                self.lost += 1
                self._poll.unregister(number)
                self._by_number.pop(number).close()
                continue
            asked_s = self.asked_s.pop(number, None)
            if asked_s is None:
                continue
            seconds, nanoseconds = struct.unpack("qq", notes[0][2][:16])
            status = int(data[9:12])
            self.server_s.setdefault(status, []).append(seconds + nanoseconds / 1e9 - asked_s)
            self.client_s.setdefault(status, []).append(read_s - asked_s)
            self.free.append(number)


def run(port: int, request: bytes, rate: float, seconds: float, connections: int) -> dict[str, Any]:
    lines = Lines(port, connections)
    began_s, sent, unsent = time.time(), 0, 0
    while (passed_s := time.time() - began_s) < seconds:
        due = int(passed_s * rate)
        for _ in range(min(AT_ONCE, due - sent)):
            sent += 1
            if lines.free:
                lines.ask(request)
            else:
                unsent += 1  # all connections wait for answers
        lines.hear(0.0 if sent < due else 0.0005)
    until_s = time.time() + LATE_S
    while lines.asked_s and time.time() < until_s:
        lines.hear(0.01)
    return {
        "server_s": lines.server_s, "client_s": lines.client_s,
        "unsent": unsent, "lost": lines.lost, "unanswered": len(lines.asked_s),
    }  # fmt: skip


if __name__ == "__main__":
    order = json.load(sys.stdin)
    print(json.dumps(run(request=order.pop("request").encode(), **order)))
