"""Connections of a real gateway: how many are served, what they may announce, and how they end."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

ASK = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b"
LIMIT = 12


@pytest.fixture(scope="module")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("connections") / "home")
    publish(site)
    site.gateway(MAINSPRING_LIMITS_CONNECTIONS=str(LIMIT))
    site.ready()
    yield site
    site.stop()


def publish(site: Any) -> None:
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    site.publish(routing(1, model_route(champion), [champion]))


def connect(site: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.port), timeout=20)


def status(line: socket.socket, asked: bytes) -> int:
    """Ask, and return the status of the answer; 0 where the other side has hung up."""
    line.sendall(asked)
    said = b""
    while b"\r\n\r\n" not in said:
        piece = line.recv(65_536)
        if not piece:
            return 0
        said += piece
    head, _, rest = said.partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(rest) < length:
        rest += line.recv(65_536)
    return int(said.split()[1])


@pytest.mark.parametrize("path", [b"/live", b"/ready", b"/metrics", b"/openapi.json", b"/v2", b"/ping"])
def test_a_body_that_nobody_reads_may_be_no_longer_than_others(served: Any, raw: Any, metric: Any, path: bytes) -> None:
    """It would be kept until it had come, and others would be refused theirs for want of room."""
    said = raw(served.port, b"GET %b HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999999\r\n\r\n" % path)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert metric(served, "mainspring_bodies_bytes") == 0


def test_more_connections_than_the_limit_take_nothing_from_those_that_are_served(served: Any, body: bytes) -> None:
    asked = ASK % (len(body), body)
    with ExitStack() as stack:
        lines = [stack.enter_context(connect(served)) for _ in range(LIMIT + 5)]
        assert [status(line, asked) for line in lines] == [200] * LIMIT + [429] * 5
        assert status(lines[-1], b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n") == 200
        lines[0].close()
        served.wait(lambda: status(lines[LIMIT], asked) == 200)
        assert status(lines[LIMIT + 1], asked) == 429
        assert status(lines[1], asked) == 200


def test_idle_connections_keep_no_newcomer_out_and_the_longest_idle_one_makes_room(site: Any, body: bytes) -> None:
    publish(site)
    site.gateway(MAINSPRING_LIMITS_CONNECTIONS=str(LIMIT), MAINSPRING_LIMITS_IDLE_S="0.2")
    site.ready()
    asked = ASK % (len(body), body)
    with ExitStack() as stack:
        lines = [stack.enter_context(connect(site)) for _ in range(2 * LIMIT)]  # as many as there may be
        busy = lines[0]
        assert status(busy, asked) == 200
        answered = 0
        while answered < 3 * LIMIT:  # newcomers, each of which stays
            newcomer = stack.enter_context(connect(site))
            site.wait(lambda: status(busy, asked) == 200)  # one that asks is never hung up on
            try:
                answered += status(newcomer, asked) == 200
            except ConnectionError:
                continue  # nobody had been idle for long enough: it is hung up on
        closed = [line for line in lines[1:] if is_closed(line)]
        assert len(closed) == 2 * LIMIT - 1  # all of them had been idle for longer than any of the newcomers
        assert status(busy, asked) == 200


def is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_all_that_was_asked_before_a_half_was_closed_is_answered(served: Any, body: bytes) -> None:
    asked = ASK % (len(body), body)
    live = b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n"
    with connect(served) as line:
        line.sendall(live + asked + live + asked)
        line.shutdown(socket.SHUT_WR)
        said = b""
        while piece := line.recv(65_536):
            said += piece
    assert said.count(b"HTTP/1.1 200 ") == 4


def test_a_crowd_of_connections_takes_no_files_from_the_log(site: Any, body: bytes) -> None:
    """Sessions commonly begin with room for 1,024 files, which is as many as the connections that are served."""
    publish(site)
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
    try:
        site.gateway()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    site.ready()
    with ExitStack() as stack:
        lines = [stack.enter_context(connect(site)) for _ in range(100)]
        assert {status(line, ASK % (len(body), body)) for line in lines} == {200}
