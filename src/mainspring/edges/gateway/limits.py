"""How each refusal is said, and what a request may say of itself: arguments, rows, moments, a shorter deadline."""

from __future__ import annotations

import math
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
from mainspring.serving.keyring import Unauthorized

SKEW_US = 1_000_000  # clocks of callers may run ahead by this much
JSON = ("content-type", "application/json")
DEADLINE = "x-mainspring-deadline-ms"


class TooLarge(InvalidInput):
    """The body has more bytes or rows than one request may carry."""

    code = "too_large"


class HeadTooLarge(InvalidInput):
    """The head has more bytes than one request may carry."""

    code = "head_too_large"


class WrongMethod(InvalidInput):
    """The route exists, the method does not."""

    code = "wrong_method"

    def __init__(self, method: str, allowed: str) -> None:
        self.allowed = allowed
        super().__init__("does not go with this route", field="method", value=method, remedy=f"use {allowed}")


class WrongEncoding(InvalidInput):
    """The body is compressed, which is not taken: a small one could unfold into a huge one."""

    code = "wrong_encoding"


class WrongContentType(InvalidInput):
    """The body is of a kind that the route does not read, or the answer would have to be of one it does not write."""

    code = "wrong_content_type"


class SlowBody(InvalidInput):
    """The body did not come whole in time, and nobody else is kept waiting for it."""

    code = "slow_body"


class TooMany(Unavailable):
    """More is under way than can be answered in time; ``wait_s`` says when it may be worth asking again."""

    code = "too_many"

    def __init__(self, what: str, *, field: str, remedy: str, value: Any = None, wait_s: float = 1.0) -> None:
        self.wait_s = wait_s
        super().__init__(what, field=field, value=value, remedy=remedy)


class Late(Unavailable):
    """The answer would have come after the model's deadline."""

    code = "deadline_exceeded"


class ModelFailed(MainspringError):
    """The model that should answer raised, or gave no finite number."""

    code = "model_failed"


_STATUS: tuple[tuple[type[MainspringError], int], ...] = (
    (TooLarge, 413),
    (HeadTooLarge, 431),
    (WrongMethod, 405),
    (WrongEncoding, 415),
    (WrongContentType, 415),
    (SlowBody, 408),
    (TooMany, 429),
    (Late, 504),
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Unauthorized, 401),
    (Refused, 403),
    (Unavailable, 503),
)


def problem(error: BaseException) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body for an error; what is not ours shows no more than that it happened."""
    if not isinstance(error, MainspringError):
        return 500, [JSON], b'{"code":"internal","message":"the gateway failed; its log says more"}'
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = [JSON]
    if status in (429, 503):
        wait_s = error.wait_s if isinstance(error, TooMany) else 1.0
        headers.append(("retry-after", str(math.ceil(min(max(wait_s, 1.0), 60.0)))))
    if status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if status in (408, 413):  # the rest of its body may still be on the way
        headers.append(("connection", "close"))
    if isinstance(error, WrongMethod):
        headers.append(("allow", error.allowed))
    return status, headers, msgspec.json.encode(error.as_dict())


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


def deadline_ms(text: str | None, most_ms: int) -> int:
    """Return the deadline of a request: the model's, or a shorter one that the caller states."""
    if text is None:
        return most_ms
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) == 0:
        what = "is not a whole number of milliseconds above 0"
        raise Malformed("wrong_deadline", what, field=DEADLINE, value=text)
    return min(int(text), most_ms)


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
