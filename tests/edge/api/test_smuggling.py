"""Requests to control whose length can be read in two ways: one answer at most, and nothing behind them is done."""

import gzip
import socket
from typing import Any

import pytest

from mainspring.edges.verbs import find

CHANGE = find("loop step")
BODY = b"{}"


def head(ask: Any, token: str) -> bytes:
    lines = [
        f"POST {CHANGE.path} HTTP/1.1", f"host: 127.0.0.1:{ask.port}", f"authorization: Bearer {token}",
        "x-mainspring-request: 1", "x-mainspring-actor: ana", "content-type: application/json",
    ]  # fmt: skip
    return "\r\n".join([*lines, ""]).encode()


def say(ask: Any, data: bytes) -> bytes:
    """Return what is said to exact bytes, until it hangs up or has been silent for long."""
    said = b""
    with socket.create_connection(("127.0.0.1", ask.port), timeout=5) as line:
        line.sendall(data)
        try:
            while piece := line.recv(65_536):
                said += piece
        except (TimeoutError, ConnectionError):
            pass
    return said


UNCLEAR = {
    "two lengths": b"content-length: 2\r\ncontent-length: 0\r\n\r\n" + BODY,
    "two lengths in one line": b"content-length: 2, 2\r\n\r\n" + BODY,
    "two different ones in one line": b"content-length: 2, 0\r\n\r\n" + BODY,
    "a length with a sign": b"content-length: +2\r\n\r\n" + BODY,
    "a negative length": b"content-length: -1\r\n\r\n" + BODY,
    "a length in hexadecimal": b"content-length: 0x2\r\n\r\n" + BODY,
    "a space before the colon": b"content-length : 2\r\n\r\n" + BODY,
    "a tab before the colon": b"content-length\t: 2\r\n\r\n" + BODY,
    "a folded line": b"x-a: 1\r\n content-length: 2\r\n\r\n" + BODY,
    "a folded encoding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked, then another": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": b"transfer-encoding: identity\r\n\r\n" + BODY,
    "a control character in a name": b"content-\x01length: 2\r\n\r\n" + BODY,
    "a NUL in a value": b"x-a: \x00\r\ncontent-length: 2\r\n\r\n" + BODY,
    "a line without a colon": b"nothing\r\ncontent-length: 2\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_a_length_that_is_unclear_is_refused_and_nothing_behind_it_is_read(ask: Any, case: str) -> None:
    whole = head(ask, ask.token)
    said = say(ask, whole + UNCLEAR[case] + whole + b"content-length: 2\r\n\r\n" + BODY)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
        b"content-length: 0\r\nTransfer-Encoding: Chunked\r\n\r\n",
    ],
)
def test_a_length_beside_chunks_hides_no_second_request(ask: Any, lines: bytes) -> None:
    whole = head(ask, ask.token)
    hidden = whole + b"content-length: 2\r\n\r\n" + BODY
    said = say(ask, whole + lines + b"2\r\n" + BODY + b"\r\n0\r\n\r\n" + hidden)
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("size", [b"-2\r\n", b"0x2\r\n", b"fffffffffffffffff\r\n", b"zz\r\n"])
def test_a_chunk_whose_size_is_unclear_changes_nothing(ask: Any, size: bytes) -> None:
    said = say(ask, head(ask, ask.token) + b"transfer-encoding: chunked\r\n\r\n" + size + BODY + b"\r\n0\r\n\r\n")
    assert b"HTTP/1.1 200" not in said
    assert said.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, identity", b"x-gzip"])
def test_a_compressed_body_is_not_unfolded(ask: Any, encoding: bytes) -> None:
    bomb = gzip.compress(b"{" + b" " * 10_000_000 + b"}")
    lines = b"connection: close\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (encoding, len(bomb))
    said = say(ask, head(ask, ask.token) + lines + bomb)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b'"field":"content-encoding"' in said


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_body_that_is_said_to_be_compressed_and_is_not_is_refused(ask: Any, encoding: bytes) -> None:
    """One on the way would unfold it, and read something else than control does."""
    lines = b"connection: close\r\ncontent-encoding: %s\r\ncontent-length: 2\r\n\r\n" % encoding
    said = say(ask, head(ask, ask.token) + lines + BODY)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b'"field":"content-encoding"' in said


def test_two_changes_in_one_packet_are_two(ask: Any) -> None:
    one = head(ask, ask.token) + b"content-length: 2\r\n"
    last = b"connection: close\r\n\r\n" + BODY
    assert say(ask, one + b"\r\n" + BODY + one + last).count(b"HTTP/1.1 200 ") == 2
