"""Requests whose length can be read in two ways: refused, or answered once on a connection that is then closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.log.records import Request
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

HEAD = b"POST /predict/late HTTP/1.1\r\nhost: a\r\n"
HIDDEN = b"POST /outcomes/late HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
BODY = b'{"id": "f1", "distance": 1.0, "carrier": "UA"}'


@pytest.fixture(scope="module")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = new_site(tmp_path_factory.mktemp("smuggling") / "home")
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01}), (Column("distance", "float"),))
    site.publish(routing(1, model_route(champion), [champion], acknowledgement="durable"))
    site.gateway(MAINSPRING_LIMITS_HEADER_S="1", MAINSPRING_LIMITS_BODY_S="1", MAINSPRING_LIMITS_HEADER_BYTES="8192")
    site.ready()
    yield site
    site.stop()


REFUSED = {
    "two lengths": b"content-length: 46\r\ncontent-length: 0\r\n\r\n" + BODY,
    "two lengths in one line": b"content-length: 46, 46\r\n\r\n" + BODY,
    "two different ones in one line": b"content-length: 46, 0\r\n\r\n" + BODY,
    "a length with a sign": b"content-length: +46\r\n\r\n" + BODY,
    "a negative length": b"content-length: -1\r\n\r\n" + BODY,
    "a length in hexadecimal": b"content-length: 0x2e\r\n\r\n" + BODY,
    "a space before the colon": b"content-length : 46\r\n\r\n" + BODY,
    "a tab before the colon": b"content-length\t: 46\r\n\r\n" + BODY,
    "a folded line": b"x-a: 1\r\n content-length: 46\r\n\r\n" + BODY,
    "a folded encoding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an unknown encoding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked, then another": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "identity": b"transfer-encoding: identity\r\n\r\n" + BODY,
    "a control character in a name": b"content-\x01length: 46\r\n\r\n" + BODY,
    "a NUL in a value": b"x-a: \x00\r\ncontent-length: 46\r\n\r\n" + BODY,
    "a bare CR in a value": b"x-a: 1\rcontent-length: 0\r\ncontent-length: 46\r\n\r\n" + BODY,
    "a line without a colon": b"nothing\r\ncontent-length: 46\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_length_that_is_unclear_is_refused_and_the_connection_closed(served: Any, raw: Any, case: str) -> None:
    before = len(served.records(Request))
    said = raw(served.port, HEAD + REFUSED[case] + HIDDEN)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert len(served.records(Request)) == before


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 46\r\ntransfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 46\r\n\r\n",
        b"content-length: 0\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n",
    ],
)
def test_a_length_beside_chunks_hides_no_second_request(served: Any, raw: Any, lines: bytes) -> None:
    """RFC 9112 lets a server read the chunks if it closes the connection afterwards: nothing behind them is read."""
    said = raw(served.port, HEAD + lines + b"2e\r\n" + BODY + b"\r\n0\r\n\r\n" + HIDDEN)
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"/outcomes" not in said
    assert said.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "chunks",
    [b"-2e\r\n", b"0x2e\r\n", b"fffffffffffffffff\r\n", b"2e\n", b"2e \x01\r\n", b"zz\r\n"],
)
def test_a_chunk_whose_size_is_unclear_is_refused(served: Any, raw: Any, chunks: bytes) -> None:
    before = len(served.records(Request))
    said = raw(served.port, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + BODY + b"\r\n0\r\n\r\n" + HIDDEN)
    assert said.count(b"HTTP/1.1 200") == 0
    assert said.count(b"HTTP/1.1 ") <= 1
    assert len(served.records(Request)) == before


def test_lines_that_end_in_a_bare_line_feed_are_refused(served: Any, raw: Any) -> None:
    """RFC 9112 lets a recipient take them; then another one on the way may have read something else."""
    text = b"POST /predict/late HTTP/1.1\nhost: a\ncontent-length: 46\n\n" + BODY
    said = raw(served.port, text)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


def test_a_head_that_is_too_large_is_refused(served: Any, raw: Any) -> None:
    said = raw(served.port, HEAD + b"x-long: " + b"a" * 20_000 + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 431 ")
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(2_000))
    assert raw(served.port, HEAD + many + b"\r\n").startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, identity", b"x-gzip"])
def test_a_compressed_body_is_not_unfolded(served: Any, raw: Any, encoding: bytes) -> None:
    import gzip

    bomb = gzip.compress(b"[" + b" " * 10_000_000 + b"]")
    lines = b"content-encoding: %s\r\ncontent-length: %d\r\n\r\n" % (encoding, len(bomb))
    assert raw(served.port, HEAD + lines + bomb, 1.0).startswith(b"HTTP/1.1 415 ")


def test_two_requests_in_one_packet_are_two(served: Any, raw: Any) -> None:
    one = HEAD + b"content-length: 46\r\n\r\n" + BODY
    assert raw(served.port, one + one).count(b"HTTP/1.1 200 ") == 2
