"""Mainspring's own JSON: one object or a list of them; an answer says the version of every row."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.edges.gateway.limits import JSON
from mainspring.edges.gateway.protocols.codec import Answerer, Decoded, Given, Headers
from mainspring.serving.decode import RowDecoder

_HEADERS = [JSON]
_encode = msgspec.json.Encoder().encode


class Native:
    """``{"distance": 228, …}`` is answered ``{"id": …, "version": 3, "value": 0.4}``, and a list by a list."""

    name = "native"

    def __init__(self, decoder: RowDecoder) -> None:
        self._decode = decoder.decode

    def decode(self, body: bytes, headers: Any) -> Decoded:
        rows, several = self._decode(body)
        return Decoded(rows, body, several)

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        if not asked.several:
            return _HEADERS, _encode({"id": id, **_one(*given[0])})
        arms, values = zip(*given, strict=True) if given else ((), ())
        if given and arms[0].threshold is None and arms.count(arms[0]) == len(arms):
            return _HEADERS, _by_one(id, arms[0].number, values)
        return _HEADERS, _encode(_Answers(id, [_answer(arm, value) for arm, value in given]))


def _by_one(id: str, version: int, values: tuple[float, ...]) -> bytes:
    """Write what one version answered: its number stands before every value, and numbers hold no comma."""
    before = b'{"version":%d,"value":' % version
    said = _encode(values)[1:-1].replace(b",", b"}," + before)
    return b'{"id":%b,"predictions":[%b%b}]}' % (_encode(id), before, said)


class _Answer(msgspec.Struct, gc=False):
    version: int
    value: float


class _Decided(msgspec.Struct, gc=False):
    version: int
    value: float
    decision: bool


class _Answers(msgspec.Struct, gc=False):
    id: str
    predictions: list[_Answer | _Decided]


def _answer(arm: Answerer, value: float) -> _Answer | _Decided:
    threshold = arm.threshold
    return _Answer(arm.number, value) if threshold is None else _Decided(arm.number, value, value >= threshold)


def _one(arm: Answerer, value: float) -> dict[str, Any]:
    if arm.threshold is None:
        return {"version": arm.number, "value": value}
    return {"version": arm.number, "value": value, "decision": value >= arm.threshold}
