"""What a request may cost, and how each refusal is said."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from mainspring.kernel.clock import parse_time, to_us
from mainspring.kernel.errors import (
    Conflict,
    InvalidInput,
    MainspringError,
    NotFound,
    Refused,
    Unavailable,
    nearest,
)
from mainspring.serving.decode import Malformed

MOST_BODY_BYTES = 8 * 1024 * 1024
MOST_IN_FLIGHT = 512
MOST_BODY_S = 10.0
SKEW_US = 1_000_000  # clocks of callers may run ahead by this much
JSON = ("content-type", "application/json")


class TooLarge(InvalidInput):
    """The body has more bytes or rows than one request may carry."""

    code = "too_large"


class WrongMethod(InvalidInput):
    """The route exists, the method does not."""

    code = "wrong_method"

    def __init__(self, method: str, allowed: str) -> None:
        self.allowed = allowed
        super().__init__("does not go with this route", field="method", value=method, remedy=f"use {allowed}")


class WrongEncoding(InvalidInput):
    """The body is compressed, which is not taken: a small one could unfold into a huge one."""

    code = "wrong_encoding"


class SlowBody(InvalidInput):
    """The body did not come whole in time, and nobody else is kept waiting for it."""

    code = "slow_body"


class Late(Unavailable):
    """The answer would have come after the model's deadline."""

    code = "deadline_exceeded"


class ModelFailed(MainspringError):
    """The model that should answer raised, or gave no finite number."""

    code = "model_failed"


_STATUS: tuple[tuple[type[MainspringError], int], ...] = (
    (TooLarge, 413),
    (WrongMethod, 405),
    (WrongEncoding, 415),
    (SlowBody, 408),
    (Late, 504),
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Refused, 403),
    (Unavailable, 503),
)


def problem(error: BaseException) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body for an error; what is not ours shows no more than that it happened."""
    if not isinstance(error, MainspringError):
        traceback.print_exception(error, file=sys.stderr)
        return 500, [JSON], b'{"code":"internal","message":"the gateway failed; its log says more"}'
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = [JSON]
    if status == 503:
        headers.append(("retry-after", "1"))
    if isinstance(error, WrongMethod):
        headers.append(("allow", error.allowed))
    return status, headers, msgspec.json.encode(error.as_dict())


async def read_body(scope: Any, proto: Any) -> bytes:
    """Return the body, refusing one that is too long or compressed, or a browser's, as early as it can be known.

    Only browsers say an origin. Whoever reaches the gateway is trusted, and a page that somebody happens to visit must
    not reach it through them.
    """
    origin = scope.headers.get("origin")
    if origin is not None:
        raise Refused("pages may not ask here", field="origin", value=origin, remedy="ask from a server of yours")
    encoding = scope.headers.get("content-encoding")
    if encoding not in (None, "identity"):
        remedy = "send the body as it is"
        raise WrongEncoding("is not taken", field="content-encoding", value=encoding, remedy=remedy)
    try:
        async with asyncio.timeout(MOST_BODY_S):
            return await _body(scope, proto)
    except TimeoutError:
        what = f"did not come within {MOST_BODY_S:g} s"
        raise SlowBody(what, field="body", remedy="send as many bytes as content-length says") from None


async def _body(scope: Any, proto: Any) -> bytes:
    length = scope.headers.get("content-length")
    if length is not None:
        if not length.isascii() or not length.isdigit():
            raise Malformed("wrong_length", "content-length is not a number", field="content-length", value=length)
        if int(length) > MOST_BODY_BYTES:
            raise _too_long(int(length))
        body: bytes = await proto()
        return body
    pieces, size = [], 0
    async for piece in proto:
        size += len(piece)
        if size > MOST_BODY_BYTES:
            raise _too_long(size)
        pieces.append(piece)
    return b"".join(pieces)


def _too_long(size: int) -> TooLarge:
    return TooLarge(
        "the body is too long", field="body", value=size, remedy=f"send at most {MOST_BODY_BYTES} bytes a request"
    )


def read_query(scope: Any, *known: str) -> dict[str, str]:
    """Return the arguments of a request's address; one that the route does not know is refused, not overlooked."""
    if not scope.query_string:
        return {}
    pairs = parse_qsl(scope.query_string, keep_blank_values=True)
    for name, _ in pairs:
        if name not in known:
            remedy = nearest(name, known)
            raise Malformed("unknown_argument", "is not an argument of this address", field=name, remedy=remedy)
    if len(query := dict(pairs)) < len(pairs):
        raise Malformed("duplicate_argument", "an argument is given twice", field="query", remedy="give each once")
    return query


def check_rows(count: int, most: int) -> None:
    """Refuse a list that is empty or too long."""
    if count == 0:
        raise Malformed("no_rows", "the list is empty", field="body", remedy="send at least one row")
    if count > most:
        raise TooLarge("has too many rows", field="body", value=count, remedy=f"send at most {most} rows a request")


def decision_time(text: str | None, now_us: int, oldest_us: int) -> int:
    """Return the moment of decision that a caller states, or now."""
    if text is None:
        return now_us
    at_us = parse_moment(text, "x-mainspring-at")
    not_ahead(at_us, now_us, "x-mainspring-at", text)
    if at_us < now_us - oldest_us:
        hours = oldest_us / 3_600_000_000
        raise Malformed(
            "decision_too_old", "the decision time is too old", field="x-mainspring-at", value=text,
            remedy=f"state a time of the last {hours:g} hours",
        )  # fmt: skip
    return at_us


def parse_moment(text: str, field: str) -> int:
    """Read an ISO 8601 time with a zone; the code of its fault is ``wrong_time``."""
    try:
        return to_us(parse_time(text, field=field))
    except InvalidInput as error:
        raise Malformed("wrong_time", error.what, field=field, value=text, remedy=error.remedy) from None


def not_ahead(at_us: int, now_us: int, field: str, shown: object) -> None:
    """Refuse a time that has not come yet."""
    if at_us > now_us + SKEW_US:
        raise Malformed(
            "time_in_future", "lies in the future", field=field, value=shown, remedy="state a time that has come"
        )
