"""Heads of requests: read by llhttp, strictly, and remembered by their bytes, as a client sends the same ones again."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import unquote_to_bytes

import httptools
import msgspec

from mainspring.edges.gateway.limits import HeadTooLarge
from mainspring.serving.decode import Malformed

CHUNKED = -1
END = b"\r\n\r\n"
_REMEMBERED = 512
_LONGEST_REMEMBERED = 2_048
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,30}(?= )")
_LINE = re.compile(rb"[A-Z-]+ [!-\"$-~]+ HTTP/[0-9]\.[0-9]\r\n")  # llhttp takes more spaces, fragments, RTSP and ICE
_HOST = re.compile(r"(\[[0-9A-Za-z:.]+\]|[-0-9A-Za-z._~!$&'()*+,;=%]*)(:[0-9]*)?")


class Head(msgspec.Struct, frozen=True):
    """The head of a request. ``length`` is that of its body in bytes, or ``CHUNKED``.

    ``path`` is decoded, ``query_string`` is not; a header that came several times is joined by commas. Heads are shared
    between requests, so nothing of them may be changed.
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    length: int
    keeps_alive: bool
    waits: bool  # for ``100 Continue``, before it sends its body


class Heads:
    """Reads heads, and remembers some hundreds of them."""

    __slots__ = ("_known", "_most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head:
        """Return the head that these bytes are, the empty line at their end included; raises ``InvalidInput``."""
        head = self._known.get(data)
        if head is None:
            if len(data) > self._most_bytes:
                self._refuse_long(len(data))
            head = _head(data)
            if len(data) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[data] = head
        return head

    def refuse_unfinished(self, data: bytes) -> None:
        """Raise if these bytes cannot be the beginning of a head: it is too long, or its lines end in another way."""
        if len(data) > self._most_bytes:
            self._refuse_long(len(data))
        if data.count(b"\n") != data.count(b"\r\n"):
            raise malformed("a line of the head does not end in CR LF")

    def _refuse_long(self, size: int) -> NoReturn:
        remedy = f"send at most {self._most_bytes} bytes of headers"
        raise HeadTooLarge("the head of the request is too long", field="header", value=size, remedy=remedy)


class Reading:
    """One run of llhttp: over a head and, where the body comes in chunks, over these.

    Its leniencies are off: two lengths, a length beside chunks, folded lines, a bare CR or LF and the like are faults.
    """

    def __init__(self) -> None:
        self.body = bytearray()
        self.ended = False
        self.followed = False  # by bytes of another request
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._read_head = self._keeps_alive = False
        self._parser = httptools.HttpRequestParser(self)

    def head(self, data: bytes) -> Head:
        """Return the head that these bytes are."""
        upgrades = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            upgrades = True  # nobody has to: it is answered as if it did not ask for that
        except httptools.HttpParserInvalidMethodError:
            raise
        except httptools.HttpParserError as error:
            raise malformed(str(error)) from None
        if not self._read_head:
            raise malformed("the head ends too early")
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if not _LINE.match(data):
            raise malformed("its first line is not a method, a target and a version")
        if version not in ("1.0", "1.1"):
            raise malformed(f"version {version} is not spoken here")
        headers = _headers(self._fields)
        if version == "1.1" and "host" not in headers:
            raise malformed("the host is missing")
        if not _HOST.fullmatch(headers.get("host", "")):
            raise malformed("the host is not a name or address")
        path, query_string = _target(self._url)
        length = _length(headers)
        if length == CHUNKED and (upgrades or version == "1.0"):
            raise malformed("chunks do not go with this request")
        keeps_alive = self._keeps_alive and not upgrades
        waits = version == "1.1" and headers.get("expect", "").lower() == "100-continue"
        return Head(method.decode(), path, query_string, headers, length, keeps_alive, waits)

    def feed(self, data: bytes) -> None:
        """Read more of the chunks; ``body`` has what they carry, ``ended`` says whether that was all."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.ended:
                self.followed = True  # what comes behind is not read: the connection ends with the answer
                return
            raise malformed(f"a chunk of the body: {error}") from None

    def on_message_begin(self) -> None:
        self.followed = self.ended

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._read_head:  # what comes behind the chunks says nothing that matters here
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._read_head = True
        self._keeps_alive = self._parser.should_keep_alive()  # at the end of a message it is forgotten

    def on_body(self, piece: bytes) -> None:
        if not self.ended:
            self.body += piece  # a piece may be a byte, and pieces have a price each

    def on_message_complete(self) -> None:
        self.ended = True


def _head(data: bytes) -> Head:
    try:
        return Reading().head(data)
    except httptools.HttpParserInvalidMethodError:
        method = _METHOD.match(data)
        if method is None:
            raise malformed("it does not begin with a method") from None
    # llhttp knows the methods there are; that no route has this one is for the routes to say
    return msgspec.structs.replace(Reading().head(b"GET" + data[method.end() :]), method=method[0].decode())


def malformed(what: str) -> Malformed:
    """Return the refusal of what is not HTTP as it should be; the connection ends with it."""
    return Malformed("malformed_http", what, field="request", remedy="send it as RFC 9112 has it")


def _headers(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, value in fields:
        name, text = raw.decode("ascii").lower(), _text(value.rstrip(b" \t"))
        if name in headers:
            if name == "host":
                raise malformed("the host is stated twice")
            text = f"{headers[name]}, {text}"
        headers[name] = text
    return headers


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _target(url: bytes) -> tuple[str, str]:
    """Return path and query; a target may be a path, or an address as proxies are asked."""
    try:
        parsed = httptools.parse_url(url)
        path = unquote_to_bytes(parsed.path or b"/").decode()
        return path, (parsed.query or b"").decode()
    except (httptools.HttpParserError, UnicodeDecodeError):
        raise malformed("the target is not an address") from None


def _length(headers: dict[str, str]) -> int:
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        if encoding.lower() != "chunked":
            raise malformed("the transfer encoding is not chunked")
        return CHUNKED
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise malformed("content-length is not a number")
    return int(length.lstrip("0") or "0")  # zeros may be more than an int is read from
