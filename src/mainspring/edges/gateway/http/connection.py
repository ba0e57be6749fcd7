"""One connection: its requests are read one after the other, each in full before the next one is looked at.

Whatever is slow here is given up by the listener's sweep, so that no connection needs a timer of its own.
"""

from __future__ import annotations

import asyncio
import time
from enum import IntEnum
from typing import TYPE_CHECKING

from mainspring.edges.gateway.http.exchange import Exchange, Headers
from mainspring.edges.gateway.http.head import CHUNKED, END, Head, Reading
from mainspring.edges.gateway.limits import SlowBody, TooLarge

if TYPE_CHECKING:
    from mainspring.edges.gateway.http.listener import Listener

SKIPPED_BYTES = 64 * 1024  # of a body that is refused are read and dropped; for a longer one the connection ends
AHEAD_BYTES = 64 * 1024  # may come before the request before them is answered
AT_ONCE = 16  # requests of one connection, until the others have their turn
LINGER_S = 2.0  # a caller who still sends has this long to read why it was refused
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(IntEnum):
    """What is awaited of the caller, or of the application."""

    HEAD = 0
    BODY = 1
    CHUNKS = 2
    ANSWER = 3
    SKIP = 4  # the rest of a body that was refused
    LINGER = 5  # it was told to hang up
    LEAVE = 6  # it reads the last answer
    CLOSED = 7


class Connection(asyncio.BufferedProtocol):
    """Reads requests, hands them to the application, and writes what it answers."""

    __slots__ = (
        "_choked",
        "_data",
        "_exchange",
        "_fruitless",
        "_listener",
        "_missing",
        "_paused",
        "_pieces",
        "_reading",
        "_said_all",
        "_transport",
        "_turning",
        "since_s",
        "state",
    )  # fmt: skip

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self.state = State.HEAD
        self.since_s = time.monotonic()
        self._data = b""
        self._pieces: list[bytes] = []
        self._missing = 0
        self._fruitless = 0  # bytes that came since the chunks last brought any of the body
        self._exchange: Exchange | None = None
        self._reading: Reading | None = None
        self._choked = False  # it does not read what it is sent
        self._paused = False
        self._turning = False  # requests are being read
        self._said_all = False  # nothing more will come

    @property
    def served(self) -> bool:
        """Tell whether it is one of those that are served."""
        return self._listener.serves(self)

    @property
    def idle_since_s(self) -> float | None:
        """Return since when nothing is asked and nothing is on its way; None while something is."""
        idle = self.state is State.HEAD and not self._data and not self._choked
        return self.since_s if idle else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._listener.add(self)
        if self._data:  # with TLS a request may come with the last word of the handshake
            self._read()

    def connection_lost(self, error: Exception | None) -> None:
        state, self.state = self.state, State.CLOSED
        self._transport = None
        self._listener.remove(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.connection = None
            if state in (State.BODY, State.CHUNKS):
                self._listener.application.reading(exchange, False)
                self._listener.application.broken_off(exchange)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._listener.buffer

    def buffer_updated(self, count: int) -> None:
        data = bytes(self._listener.buffer[:count])
        state = self.state
        if state is State.HEAD:
            self._data = self._data + data if self._data else data
            self._read()
        elif state is State.BODY:
            self._more(data)
        elif state is State.CHUNKS:
            self._feed(data)
        elif state is State.ANSWER:
            self._data += data
            if len(self._data) > AHEAD_BYTES:
                self._pause()
        elif state is State.SKIP:
            self._skip(data)

    def eof_received(self) -> bool:
        """Keep the way back open where an answer is under way."""
        if self.state is State.ANSWER and self._exchange is not None and self._transport is not None:
            self._said_all = True
            return self._transport.can_write_eof()
        return False

    def pause_writing(self) -> None:
        self._choked, self.since_s = True, time.monotonic()
        self._pause()

    def resume_writing(self) -> None:
        self._choked = False
        self._resume()
        if self.state is State.HEAD:
            self.since_s = time.monotonic()
            self._read()

    def sweep(self, now_s: float) -> None:
        """Give up what takes too long."""
        limits, waited_s, state = self._listener.limits, now_s - self.since_s, self.state
        if self._choked or state in (State.HEAD, State.LEAVE):
            if waited_s > limits.header_s:
                self.abort()
        elif state in (State.BODY, State.CHUNKS):
            if waited_s > limits.body_s:
                remedy = "send as many bytes as content-length says"
                self._give_up(SlowBody(f"did not come within {limits.body_s:g} s", field="body", remedy=remedy))
        elif state is State.SKIP:
            if waited_s > limits.body_s:
                self.abort()
        elif state is State.LINGER and waited_s > LINGER_S:
            self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """End the connection as soon as nothing is under way."""
        transport = self._transport
        if self.state is State.HEAD and not self._data and transport is not None:
            self._end()
            if not transport.get_write_buffer_size():
                self.state = State.LINGER  # TLS waits for a word of the caller, who may look at it much later
        elif self._exchange is not None:
            self._exchange.keeps = False

    def answer(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        """Write an answer, and go on with the next request or hang up."""
        transport = self._transport
        if transport is None or exchange is not self._exchange:
            return
        keeps = exchange.keeps and not self._listener.application.draining
        if self._said_all and not self._data:
            keeps = False
        shown = body if exchange.head.method != "HEAD" else b""
        prefix = self._listener.prefix(status, headers, keeps)
        self._exchange = None
        transport.write(b"%b%d\r\n\r\n%b" % (prefix, len(body), shown))
        if self.state is not State.ANSWER:  # it was refused before its body had come; ``_refuse`` goes on
            return
        if not keeps:
            self._end()
            return
        self.state = State.HEAD
        self.since_s = time.monotonic()
        if not self._turning:
            self._resume()
            if self._data:
                self._read()

    def _read(self) -> None:
        """Read as many requests as have come whole."""
        if self._turning:
            return
        self._turning = True
        taken = 0
        try:
            while self.state is State.HEAD and self._data and not self._choked and not self._leaves():
                if taken == AT_ONCE:
                    self._pause()
                    asyncio.get_running_loop().call_soon(self._go_on)
                    return
                data = self._data
                if data[0] in b"\r\n":  # empty lines before a request say nothing
                    self._data = data.lstrip(b"\r\n")
                    continue
                end = data.find(END) + len(END)
                if end < len(END):
                    self._listener.heads.refuse_unfinished(data)
                    break
                raw = data[:end]
                self._open(self._listener.heads.read(raw), raw, data[end:])
                taken += 1
        except Exception as error:  # no request, or none that can be read: nothing behind it can be, either
            self._tell(*self._listener.application.malformed(None, error))
        finally:
            self._turning = False
        if self._said_all and self._transport is not None and not self._choked and self.state < State.ANSWER:
            self._transport.close()  # what has come is no whole request, and never will be

    def _leaves(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _go_on(self) -> None:
        self._resume()
        self._read()

    def _open(self, head: Head, raw: bytes, rest: bytes) -> None:
        """Take a request whose head has come, and ``rest`` behind it."""
        application = self._listener.application
        exchange = self._exchange = Exchange(self, head)
        try:
            application.opened(exchange)
        except Exception as error:
            self._refuse(exchange, error, head.length, rest)
            return
        length, come = head.length, len(rest)
        if 0 <= length <= come:
            self._data = rest[length:] if length < come else b""
            self._begin(exchange, rest[:length] if length < come else rest)
            return
        self._data = b""
        self.since_s = time.monotonic()
        application.reading(exchange, True)
        if head.waits and not rest and self._transport is not None:
            self._transport.write(_CONTINUE)
        if length == CHUNKED:
            self.state = State.CHUNKS
            self._reading, self._fruitless = Reading(), 0
            self._reading.head(raw)
            if rest:
                self._feed(rest)
        else:
            self.state = State.BODY
            self._pieces, self._missing = [rest] if rest else [], length - come

    def _more(self, data: bytes) -> None:
        """Take more of a body that said how long it is."""
        missing, exchange = self._missing, self._exchange
        if exchange is None:
            return
        if len(data) < missing:
            self._pieces.append(data)
            self._missing = missing - len(data)
            return
        self._pieces.append(data[:missing])
        self._data = data[missing:]
        body = b"".join(self._pieces)
        self._pieces = []
        self._come(exchange, body)

    def _feed(self, data: bytes) -> None:
        """Take more of a body that comes in chunks."""
        reading, exchange = self._reading, self._exchange
        if reading is None or exchange is None:
            return
        before = len(reading.body)
        try:
            reading.feed(data)
            count = len(reading.body) - before
            if not reading.ended:
                self._refuse_padding(len(data), count)
            self._listener.application.received(exchange, count)
        except Exception as error:
            self._give_up(error)
            return
        if reading.ended:
            exchange.keeps = exchange.keeps and not reading.followed
            self._reading, self._missing = None, 0
            self._come(exchange, bytes(reading.body))

    def _refuse_padding(self, came: int, count: int) -> None:
        """Raise if ``came`` bytes, of which ``count`` are of the body, are too many for what they bring."""
        limits = self._listener.limits
        self._missing += came  # here: all that came, with what stands between the chunks
        if self._missing > 2 * limits.body_bytes + SKIPPED_BYTES:
            raise TooLarge("the body is too long", field="body", value=self._missing, remedy="send longer chunks")
        self._fruitless = 0 if count else self._fruitless + came
        if self._fruitless > limits.header_bytes:  # a trailer is copied whole with each piece of it that comes
            raise TooLarge("what stands behind the chunks is too long", field="body", remedy="send it as headers")

    def _come(self, exchange: Exchange, body: bytes) -> None:
        self._listener.application.reading(exchange, False)
        self._begin(exchange, body)
        if self._data:
            self._read()

    def _begin(self, exchange: Exchange, body: bytes) -> None:
        self.state = State.ANSWER
        exchange.body = body
        self._listener.application.asked(exchange)

    def _refuse(self, exchange: Exchange, error: Exception, length: int, rest: bytes) -> None:
        """Answer a request whose body is not wanted; a short one is dropped, for a long one the connection ends."""
        missing = length - len(rest)
        exchange.keeps = exchange.keeps and length >= 0 and missing <= SKIPPED_BYTES and not exchange.head.waits
        keeps = exchange.keeps and not self._listener.application.draining
        self.state = State.SKIP
        self._listener.application.refused(exchange, error)
        if self.state is not State.SKIP:
            return
        self.since_s = time.monotonic()
        if not keeps:
            self._end(more=missing != 0 or length < 0)
        elif missing > 0:
            self._data, self._missing = b"", missing
        else:
            self._data, self.state = rest[length:], State.HEAD

    def _skip(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing <= 0:
            self._data = data[len(data) + self._missing :] if self._missing else b""
            self.state, self._missing, self.since_s = State.HEAD, 0, time.monotonic()
            self._read()

    def _give_up(self, error: Exception) -> None:
        """Refuse a body that is on its way, and hang up: what may still come cannot be told from a request."""
        exchange, application = self._exchange, self._listener.application
        if exchange is None:
            return
        self._reading, self._pieces, self._missing = None, [], 0
        application.reading(exchange, False)
        exchange.keeps = False
        self.state = State.SKIP
        application.refused(exchange, error)
        self._end(more=True)

    def _tell(self, status: int, headers: Headers, body: bytes) -> None:
        """Say what is wrong with what cannot be read, and hang up."""
        if self._transport is not None:
            prefix = self._listener.prefix(status, headers, False)
            self._transport.write(b"%b%d\r\n\r\n%b" % (prefix, len(body), body))
            self._end(more=True)

    def _end(self, *, more: bool = False) -> None:
        """Hang up. Where more may still come, first let the caller read: unread bytes would tear the answer away."""
        self._data = b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.since_s = time.monotonic()
        if more and transport.can_write_eof():
            self.state = State.LINGER
            self._resume()
            transport.write_eof()
        else:
            self.state = State.LEAVE
            transport.close()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._choked and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
