"""A real gateway that speaks TLS: slow, rude and plain callers, and its end while callers are idle."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

LIVE = b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n"
SLOW = b"POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"


class Encrypted:
    """A site and what its callers trust."""

    def __init__(self, site: Any, cert: Path, key: Path) -> None:
        self.site = site
        self.trusted = ssl.create_default_context(cafile=str(cert))
        self.trusted.check_hostname = False
        (site.home.root / "settings.toml").write_text(f'tls_cert = "{cert}"\ntls_key = "{key}"\n')
        champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
        site.publish(routing(1, model_route(champion), [champion]))

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.site.port), timeout=30)

    def line(self) -> ssl.SSLSocket:
        return self.trusted.wrap_socket(self.plain())

    def lives(self) -> bool:
        with self.line() as line:
            line.sendall(LIVE)
            return line.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def encrypted(site: Any, certificate: tuple[Path, Path]) -> Encrypted:
    return Encrypted(site, *certificate)


def said(line: socket.socket) -> bytes:
    got = b""
    with line:
        try:
            while piece := line.recv(65_536):
                got += piece
        except (ConnectionError, ssl.SSLError):
            pass
    return got


def test_who_is_slow_or_does_not_encrypt_is_given_up_and_holds_up_nobody(encrypted: Encrypted) -> None:
    encrypted.site.gateway(MAINSPRING_LIMITS_HEADER_S="2", MAINSPRING_LIMITS_BODY_S="2")
    encrypted.site.ready()
    silent = [encrypted.plain() for _ in range(10)]
    for line in silent[:5]:
        line.sendall(b"\x16\x03\x01")
    plain = encrypted.plain()
    plain.sendall(LIVE)
    idle, slow = encrypted.line(), encrypted.line()
    slow.sendall(SLOW)
    assert encrypted.lives()
    assert {said(line) for line in (*silent, plain, idle)} == {b""}
    assert said(slow).startswith(b"HTTP/1.1 408 ")
    assert encrypted.lives()


def test_callers_that_hang_up_on_their_answers_fill_no_log(encrypted: Encrypted) -> None:
    encrypted.site.gateway()
    encrypted.site.ready()
    asked = b'POST /predict/late HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\n{"id": "f1"}'
    for _ in range(20):
        with encrypted.line() as line:
            line.sendall(asked * 20)
    assert encrypted.lives()
    assert "socket.send" not in encrypted.site.logs()
    assert "Traceback" not in encrypted.site.logs()


def test_idle_callers_do_not_hold_up_the_end(encrypted: Encrypted) -> None:
    """They are told by TLS, which waits for their word; but who keeps a connection for later does not listen."""
    process = encrypted.site.gateway(MAINSPRING_LIMITS_DRAIN_S="600")
    encrypted.site.ready()
    idle = [encrypted.line() for _ in range(3)]
    idle[0].sendall(LIVE)
    assert idle[0].recv(65_536)
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert time.monotonic() - began_s < 60
    for line in idle:
        line.close()


def is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_callers_who_never_come_to_speak_tls_are_counted_and_keep_nobody_out(encrypted: Encrypted) -> None:
    limit = 6
    encrypted.site.gateway(MAINSPRING_LIMITS_CONNECTIONS=str(limit), MAINSPRING_LIMITS_IDLE_S="3")
    with ExitStack() as stack:
        silent = [stack.enter_context(encrypted.plain()) for _ in range(3 * limit)]
        encrypted.site.wait(lambda: sum(map(is_closed, silent)) >= limit)  # there is room for twice the limit
        assert not all(map(is_closed, silent[:limit]))

        def answers() -> bool:
            try:
                return encrypted.lives()
            except OSError:
                return False

        encrypted.site.wait(answers)  # long before they are given up on


def test_a_crowd_that_was_hung_up_on_and_is_gone_takes_no_room(encrypted: Encrypted) -> None:
    encrypted.site.gateway(MAINSPRING_LIMITS_CONNECTIONS="3", MAINSPRING_LIMITS_IDLE_S="3600")
    encrypted.site.ready()
    with ExitStack() as stack:
        silent = [stack.enter_context(encrypted.plain()) for _ in range(30)]
        encrypted.site.wait(lambda: sum(map(is_closed, silent)) >= 24)  # there is room for twice the limit

    def answers() -> bool:
        try:
            return encrypted.lives()
        except OSError:
            return False

    encrypted.site.wait(answers)


def test_a_request_that_comes_with_the_last_word_of_the_handshake_is_answered(encrypted: Encrypted) -> None:
    encrypted.site.gateway()
    for _ in range(20):
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        speaking = encrypted.trusted.wrap_bio(theirs, ours)
        with encrypted.plain() as line:
            with suppress(ssl.SSLWantReadError):
                speaking.do_handshake()
            line.sendall(ours.read())
            while True:
                theirs.write(line.recv(65_536))
                try:
                    speaking.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    continue
            speaking.write(LIVE)
            line.sendall(ours.read())  # what ends the handshake, and the request, in one piece
            answer = b""
            while not answer.startswith(b"HTTP/1.1 200 "):
                theirs.write(line.recv(65_536))
                with suppress(ssl.SSLWantReadError):
                    answer += speaking.read(65_536)
