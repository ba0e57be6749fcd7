"""What a connection reads and says, byte by byte, without a socket: an application that gives back what it is sent."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.edges.gateway.http.connection import AHEAD_BYTES, AT_ONCE, SKIPPED_BYTES, Connection, State
from mainspring.edges.gateway.http.exchange import Exchange, Headers
from mainspring.edges.gateway.http.listener import Listener
from mainspring.edges.gateway.limits import JSON, SlowBody, problem
from mainspring.kernel.errors import Refused
from mainspring.serving.limits import Limits


class Echo:
    """Answers with method, path and body; ``later`` keeps requests until ``go_on``; ``/no`` is refused by its head."""

    def __init__(self, *, later: bool = False) -> None:
        self.draining = False
        self.later = later
        self.kept: list[Exchange] = []
        self.told: list[str] = []
        self.waiting: set[Exchange] = set()

    def opened(self, exchange: Exchange) -> None:
        if exchange.head.path.startswith("/no"):
            raise Refused("is not wanted", field="path", value=exchange.head.path)

    def asked(self, exchange: Exchange) -> None:
        if self.later:
            self.kept.append(exchange)
        else:
            self.say(exchange)

    def go_on(self) -> None:
        self.say(self.kept.pop(0))

    def say(self, exchange: Exchange) -> None:
        head = exchange.head
        exchange.response_bytes(200, (JSON,), f"{head.method} {head.path} ".encode() + exchange.body)

    def refused(self, exchange: Exchange, error: Exception) -> None:
        exchange.response_bytes(*problem(error))

    def malformed(self, exchange: Exchange | None, error: Exception) -> tuple[int, Headers, bytes]:
        return problem(error)

    def reading(self, exchange: Exchange, began: bool) -> None:
        (self.waiting.add if began else self.waiting.remove)(exchange)

    def received(self, exchange: Exchange, count: int) -> None:
        self.told.append(f"{count} bytes")

    def broken_off(self, exchange: Exchange) -> None:
        self.told.append("broken off")

    def connected(self, count: int) -> None:
        self.told.append(f"{count} connected")


class Line:
    """A transport: keeps what is written, and whether anything is read."""

    def __init__(self) -> None:
        self.written = b""
        self.reads = True
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = self.ended or "half"

    def is_closing(self) -> bool:
        return self.ended in ("closed", "aborted")

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def get_write_buffer_size(self) -> int:
        return 0


class Caller:
    """One connection, and whoever is at its other end."""

    def __init__(
        self, application: Echo | None = None, limits: Limits | None = None, listener: Listener | None = None
    ) -> None:
        self.application = application or Echo()
        self.listener = listener or Listener(self.application, limits or Limits())
        self.connection = Connection(self.listener)
        self.line = Line()
        self.connection.connection_made(self.line)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        while data:
            buffer = self.connection.get_buffer(-1)
            piece, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def answers(self) -> list[tuple[int, bytes]]:
        """Return status and body of each answer."""
        found, rest = [], self.line.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            if status == 100:
                continue
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields[b"content-length"])
            found.append((status, rest[:length]))
            rest = rest[length:]
        return found


def post(path: str = "/a", body: bytes = b"", *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: a", f"content-length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(path: str, pieces: list[bytes]) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


requests = st.lists(
    st.tuples(st.sampled_from(["/a", "/b", "/no"]), st.binary(max_size=40), st.booleans()), min_size=1, max_size=5
)


@given(asked=requests, cuts=st.lists(st.integers(1, 400), max_size=12))
@settings(max_examples=150, deadline=None)
def test_however_the_bytes_are_cut_the_answers_are_the_same_and_in_order(asked: Any, cuts: list[int]) -> None:
    caller, expected, stream = Caller(), [], b""
    for path, body, in_chunks in asked:
        stream += chunked(path, [body[:7], body[7:]]) if in_chunks else post(path, body)
        expected.append((403, None) if path == "/no" else (200, b"POST %b %b" % (path.encode(), body)))
        if in_chunks:
            break  # what comes in the same packet behind chunks is not read; and a refused one ends the connection
    for cut in sorted({cut for cut in cuts if cut < len(stream)}, reverse=True):
        stream = stream[:cut] + b"|CUT|" + stream[cut:]
    for piece in stream.split(b"|CUT|"):
        if caller.connection.state is not State.LINGER:
            caller.send(piece)
    said = caller.answers()
    assert [status for status, _ in said] == [status for status, _ in expected]
    for (_, body), (_, wanted) in zip(said, expected, strict=True):
        assert wanted is None or body == wanted
    assert not caller.application.waiting


def test_requests_behind_each_other_are_answered_one_after_the_other_however_late() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/1", b"x") + post("/2", b"y") + post("/3", b"z"))
    assert len(echo.kept) == 1
    for _ in range(3):
        echo.go_on()
    assert caller.answers() == [(200, b"POST /1 x"), (200, b"POST /2 y"), (200, b"POST /3 z")]


def test_who_sends_ahead_without_end_is_not_read_until_the_first_is_answered() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/1", b"x"))
    while caller.line.reads:
        caller.send(post("/2", b"y" * 10_000))
    assert len(caller.connection._data) <= AHEAD_BYTES + 2 * 10_200
    echo.go_on()
    assert caller.line.reads


def test_who_sends_many_requests_at_once_lets_others_have_their_turn() -> None:
    caller, seen = Caller(), []

    async def run() -> None:
        caller.send(b"".join(post(f"/{number}") for number in range(100)))
        while len(caller.answers()) < 100:
            seen.append(len(caller.answers()))
            assert not caller.line.reads
            await asyncio.sleep(0)

    asyncio.run(run())
    assert seen == [AT_ONCE * turn for turn in range(1, 7)]
    assert caller.line.reads
    assert [body for _, body in caller.answers()] == [b"POST /%d " % number for number in range(100)]


def test_a_second_answer_goes_nowhere() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/1", b"x"))
    exchange = echo.kept[0]
    echo.say(exchange)
    echo.say(exchange)
    assert len(caller.answers()) == 1


def test_an_answer_to_who_has_hung_up_goes_nowhere() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/1", b"x"))
    caller.connection.connection_lost(None)
    assert not echo.kept[0].open
    echo.go_on()
    assert caller.line.written == b""
    assert echo.told[-1] == "0 connected"


def test_who_hangs_up_in_the_middle_of_a_body_is_counted_and_holds_nothing() -> None:
    caller = Caller()
    caller.send(post("/1", b"abcdef")[:-2])
    assert len(caller.application.waiting) == 1
    caller.connection.connection_lost(None)
    assert caller.application.waiting == set()
    assert "broken off" in caller.application.told


def test_a_short_body_that_is_refused_is_dropped_and_the_connection_goes_on() -> None:
    caller = Caller()
    head, body = post("/no", b"a" * 1_000), post("/yes", b"b")
    caller.send(head[:-400])
    assert [status for status, _ in caller.answers()] == [403]
    caller.send(head[-400:] + body)
    assert caller.answers()[1] == (200, b"POST /yes b")


def test_a_long_body_that_is_refused_ends_the_connection_before_it_is_read() -> None:
    caller = Caller()
    caller.send(post("/no", b"a" * (SKIPPED_BYTES + 500))[:200])
    assert caller.answers()[0][0] == 403
    assert b"connection: close" in caller.line.written
    assert caller.line.ended == "half"  # it may still read why
    caller.send(post("/yes", b"b"))
    assert len(caller.answers()) == 1


def test_who_asks_whether_to_send_is_told_to_or_refused() -> None:
    caller = Caller()
    whole = post("/yes", b"abc", "expect: 100-continue")
    caller.send(whole[:-3])
    assert caller.line.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.send(whole[-3:])
    assert caller.answers() == [(200, b"POST /yes abc")]
    caller = Caller()
    caller.send(post("/no", b"abc", "expect: 100-continue")[:-3])
    assert caller.answers()[0][0] == 403
    assert b"100 Continue" not in caller.line.written
    assert caller.line.ended == "half"


@pytest.mark.parametrize(
    ("request_line", "more", "keeps"),
    [
        ("GET /a HTTP/1.1", "", True),
        ("GET /a HTTP/1.1", "connection: close\r\n", False),
        ("GET /a HTTP/1.1", "Connection: Close\r\n", False),
        ("GET /a HTTP/1.0", "", False),
        ("GET /a HTTP/1.0", "connection: keep-alive\r\n", True),
        ("GET /a HTTP/1.1", "connection: upgrade\r\nupgrade: h2c\r\n", False),
        ("GET /a HTTP/1.1", "connection: upgrade\r\nupgrade: websocket\r\n", False),
    ],
)
def test_a_connection_is_kept_as_the_caller_asks(request_line: str, more: str, keeps: bool) -> None:
    caller = Caller()
    caller.send(f"{request_line}\r\nhost: a\r\n{more}\r\n".encode())
    assert caller.answers() == [(200, b"GET /a ")]
    assert (b"connection: keep-alive" in caller.line.written) is keeps
    assert caller.line.ended == ("" if keeps else "closed")


def test_a_head_without_a_body_has_the_length_of_what_get_would_say() -> None:
    caller = Caller()
    caller.send(b"HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n")
    assert caller.line.written.endswith(b"content-length: 8\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a", "/a"), ("/a?b=c", "/a"), ("/caf%C3%A9", "/café"), ("/a%2Fb", "/a/b"), ("http://x:1/a?b", "/a"),
        ("/a%00", "/a\0"), ("/a<script>", "/a<script>"), ("//a", "//a"),
    ],
)  # fmt: skip
def test_a_target_is_a_path_or_an_address(target: str, path: str) -> None:
    caller = Caller()
    caller.send(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    assert caller.answers() == [(200, f"GET {path} ".encode())]


MALFORMED = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nhost: a\r\n\r\n",
    "a tunnel": b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
    "bytes that are no text in the path": b"GET /%ff HTTP/1.1\r\nhost: a\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nhost: a\n\n",
    "a bare line feed before the end": b"GET / HTTP/1.1\r\nhost: a\nx",
    "another protocol without a host": b"POST /a RTSP/1.0\r\n\r\n",
    "another protocol": b"OPTIONS /a RTSP/1.1\r\nhost: a\r\n\r\n",
    "a third protocol": b"SOURCE /a ICE/1.1\r\nhost: a\r\n\r\n",
    "two spaces before the target": b"GET  /a HTTP/1.1\r\nhost: a\r\n\r\n",
    "two spaces behind the target": b"GET /a  HTTP/1.1\r\nhost: a\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
    "a host with a space": b"GET /a HTTP/1.1\r\nhost: a b\r\n\r\n",
    "two hosts in one line": b"GET /a HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "a host with a path": b"GET /a HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "a host with a name of a user": b"GET /a HTTP/1.1\r\nhost: u@a\r\n\r\n",
    "chunks of version 1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and an upgrade": b"POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two encodings": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_request_is_told_so_once_and_the_connection_ends(case: str) -> None:
    caller = Caller()
    caller.send(MALFORMED[case])
    said = caller.answers()
    assert [status for status, _ in said] == [400]
    assert b'"code":"malformed_http"' in said[0][1]
    assert caller.line.ended == "half"
    caller.send(post("/yes", b"b"))
    assert len(caller.answers()) == 1


@pytest.mark.parametrize("size", [9_000, 200_000])
def test_a_head_that_is_too_long_is_refused_whether_it_ends_or_not(size: int) -> None:
    for end in (b"\r\n\r\n", b""):
        caller = Caller(limits=Limits(header_bytes=8_192))
        caller.send(b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * size + end)
        assert caller.answers()[0][0] == 431


def test_a_body_in_chunks_may_not_be_mostly_chunks() -> None:
    caller = Caller(limits=Limits(body_bytes=1_000))
    caller.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(2_000):
        caller.send(b"1;" + b"x" * 60 + b"\r\na\r\n")
    assert caller.answers()[0][0] == 413
    assert not caller.application.waiting


def test_what_comes_behind_the_chunks_is_no_longer_than_a_head() -> None:
    """llhttp's wrapper copies a trailer whole with each piece: 4 MB in small ones took a minute and a half."""
    caller = Caller(limits=Limits(header_bytes=8_192))
    caller.send(chunked("/a", [b"abc"])[:-2] + b"x: ")
    sent = 0
    while not caller.line.written and sent < 100_000:
        caller.send(b"y" * 500)
        sent += 500
    assert caller.answers()[0][0] == 413
    assert sent < 9_000
    assert not caller.application.waiting


def test_what_follows_the_chunks_in_one_packet_is_no_trailer() -> None:
    caller = Caller(limits=Limits(header_bytes=8_192, body_bytes=1_000))
    whole = chunked("/a", [b"abc"])
    caller.send(whole[:-5])
    caller.send(whole[-5:] + post("/b", b"y" * 100_000))
    assert caller.answers() == [(200, b"POST /a abc")]


def test_a_length_may_have_zeros_and_spaces_around_it() -> None:
    for length in (b"0" * 5_000 + b"3", b"3 \t "):
        caller = Caller()
        caller.send(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: " + length + b"\r\n\r\nabc")
        assert caller.answers() == [(200, b"POST /a abc")]


@pytest.mark.parametrize("host", ["", "a", "a.b:80", "[::1]:8080", "127.0.0.1", "a_b", "xn--caf-dma.example", "a:"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    caller = Caller()
    caller.send(f"GET /a HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    assert caller.answers() == [(200, b"GET /a ")]


def test_what_comes_behind_the_chunks_changes_no_header() -> None:
    caller = Caller()
    caller.send(
        b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nauthorization: x\r\n\r\n"
    )
    assert caller.answers() == [(200, b"POST /a hi")]


def test_empty_lines_before_a_request_say_nothing() -> None:
    caller = Caller()
    caller.send(b"\r\n\r\n" + post("/a", b"x") + b"\r\n" + post("/b", b"y"))
    assert caller.answers() == [(200, b"POST /a x"), (200, b"POST /b y")]


@pytest.mark.parametrize(
    ("sent", "state", "after_s", "ends"),
    [
        (b"", State.HEAD, 31.0, "aborted"),
        (b"GET / HT", State.HEAD, 31.0, "aborted"),
        (post("/a", b"abc")[:-1], State.BODY, 11.0, "half"),
        (chunked("/a", [b"abc"])[:-7], State.CHUNKS, 11.0, "half"),
        (post("/no", b"abc")[:-1], State.SKIP, 11.0, "aborted"),
        (b"nonsense\r\n\r\n", State.LINGER, 3.0, "aborted"),
    ],
)
def test_what_takes_too_long_is_given_up(sent: bytes, state: State, after_s: float, ends: str) -> None:
    caller = Caller()
    caller.send(sent)
    assert caller.connection.state is state
    before = caller.line.ended
    caller.connection.sweep(caller.connection.since_s + 1.0)
    assert caller.line.ended == before
    caller.connection.sweep(caller.connection.since_s + after_s)
    assert caller.line.ended == ends
    if state in (State.BODY, State.CHUNKS):
        assert caller.answers()[0][0] == 408
        assert SlowBody.code.encode() in caller.answers()[0][1]


def test_who_does_not_read_its_answers_is_not_read_and_then_let_go() -> None:
    caller = Caller()
    caller.connection.pause_writing()
    caller.send(post("/a", b"x") * 3)
    assert caller.answers() == []
    assert not caller.line.reads
    caller.connection.resume_writing()
    assert caller.line.reads
    assert len(caller.answers()) == 3
    caller.send(post("/b", b"y"))
    assert len(caller.answers()) == 4
    caller.connection.pause_writing()
    caller.connection.sweep(caller.connection.since_s + 31.0)
    assert caller.line.ended == "aborted"


def test_a_caller_that_has_said_all_is_still_answered() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/a", b"x"))
    assert caller.connection.eof_received() is True
    echo.go_on()
    assert caller.answers() == [(200, b"POST /a x")]
    assert caller.line.ended == "closed"


def test_all_that_a_caller_said_before_its_last_word_is_answered() -> None:
    for rest in (b"", b"GET / HT", post("/c", b"zzz")[:-1]):
        echo = Echo(later=True)
        caller = Caller(echo)
        caller.send(post("/a", b"x") + post("/b", b"y") + rest)
        assert caller.connection.eof_received() is True
        echo.go_on()
        assert caller.line.ended == ""
        echo.go_on()
        assert caller.answers() == [(200, b"POST /a x"), (200, b"POST /b y")]
        assert caller.line.ended == "closed"


def test_a_last_answer_may_be_read_for_as_long_as_any_other_however_long_it_was_silent_before() -> None:
    caller = Caller()
    caller.connection.since_s -= 20.0
    caller.send(post("/a", b"x", "connection: close"))
    assert caller.line.ended == "closed"  # but what is written may not have gone out yet
    caller.connection.sweep(time.monotonic() + 25.0)
    assert caller.line.ended == "closed"
    caller.connection.sweep(time.monotonic() + 31.0)
    assert caller.line.ended == "aborted"


def test_who_took_its_time_for_a_refused_body_has_as_long_as_others_for_the_next_head() -> None:
    caller = Caller(limits=Limits(header_s=1.0))
    whole = post("/no", b"abc")
    caller.send(whole[:-1])
    caller.connection.since_s -= 5.0
    caller.send(whole[-1:] + b"GET / HT")
    caller.connection.sweep(time.monotonic() + 0.5)
    assert caller.line.ended == ""


def test_nothing_is_answered_on_a_line_that_has_broken() -> None:
    caller = Caller()
    write = caller.line.write

    def break_(data: bytes) -> None:
        write(data)
        caller.line.ended = "aborted"

    caller.line.write = break_  # type: ignore[method-assign]
    caller.send(post("/a", b"x") * 10)
    assert len(caller.answers()) == 1


def test_an_answer_that_cannot_be_written_is_told_as_a_fault() -> None:
    echo = Echo(later=True)
    caller = Caller(echo)
    caller.send(post("/a", b"x"))
    with pytest.raises(ValueError, match="line of its own"):
        echo.kept[0].response_bytes(200, (("x-a", "1\r\nx-b: 2"),), b"")
    echo.refused(echo.kept[0], RuntimeError("it failed"))
    assert caller.answers()[0][0] == 500


def test_connections_beyond_the_limit_take_nothing_from_those_that_were_there() -> None:
    listener = Listener(Echo(), Limits(connections=2))
    first, second, third, fourth = [Caller(listener=listener) for _ in range(4)]
    assert [caller.connection.served for caller in (first, second, third, fourth)] == [True, True, False, False]
    second.connection.connection_lost(None)
    assert [caller.connection.served for caller in (first, third, fourth)] == [True, True, False]
    fifth = Caller(listener=listener)
    assert [caller.connection.served for caller in (first, third, fourth, fifth)] == [True, True, False, False]
    fourth.connection.connection_lost(None)
    first.connection.connection_lost(None)
    assert [caller.connection.served for caller in (third, fifth)] == [True, True]
    assert [Caller(listener=listener).connection.served for _ in range(3)] == [False, False, False]
    assert [Caller(listener=listener).line.ended for _ in range(1)] == ["aborted"]


def test_who_asked_before_the_listener_ends_is_answered_even_if_nobody_let_it_in_yet() -> None:
    async def run() -> bytes:
        listener = Listener(Echo(), Limits())
        await listener.listen("127.0.0.1", 0, None)
        server = listener._server
        assert server is not None
        with socket.create_connection(server.sockets[0].getsockname(), timeout=20) as line:
            line.sendall(post("/a", b"x", "connection: close"))
            await listener.close(20.0)
            return line.recv(65_536)

    assert asyncio.run(run()).endswith(b"POST /a x")


def test_who_becomes_idle_while_the_listener_ends_is_let_go() -> None:
    async def run() -> list[str]:
        caller = Caller()
        caller.send(post("/no", b"abc")[:-1])
        ending = asyncio.create_task(caller.listener.close(20.0))
        await asyncio.sleep(0.01)
        before = caller.line.ended
        caller.send(b"c")
        caller.connection.since_s -= 2.0
        caller.listener._sweep()
        after = caller.line.ended
        caller.connection.connection_lost(None)
        await ending
        return [before, after]

    assert asyncio.run(run()) == ["", "closed"]


def test_an_idle_connection_ends_with_the_listener_and_a_busy_one_with_its_answer() -> None:
    idle, echo = Caller(), Echo(later=True)
    busy = Caller(echo)
    busy.send(post("/a", b"x"))
    for caller in (idle, busy):
        caller.connection.hang_up()
    assert (idle.line.ended, busy.line.ended) == ("closed", "")
    echo.go_on()
    assert busy.answers() == [(200, b"POST /a x")]
    assert busy.line.ended == "closed"


def test_heads_are_remembered_by_their_bytes_and_forgotten_in_time() -> None:
    caller = Caller()
    heads = caller.listener.heads
    first = heads.read(post("/a"))
    assert heads.read(post("/a")) is first
    for number in range(600):
        heads.read(post(f"/{number}"))
    assert heads.read(post("/a")) == first


def test_a_header_with_a_line_of_its_own_is_never_sent() -> None:
    caller = Caller()
    with pytest.raises(ValueError, match="line of its own"):
        caller.listener.prefix(200, (("x-a", "1\r\nx-b: 2"),), True)
