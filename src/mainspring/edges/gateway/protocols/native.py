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
        said = [_one(arm, value) for arm, value in given]
        answer = {"id": id, "predictions": said} if asked.several else {"id": id, **said[0]}
        return _HEADERS, _encode(answer)


def _one(arm: Answerer, value: float) -> dict[str, Any]:
    if arm.threshold is None:
        return {"version": arm.number, "value": value}
    return {"version": arm.number, "value": value, "decision": value >= arm.threshold}
