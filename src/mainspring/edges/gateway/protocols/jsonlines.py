"""JSON lines: one object a line in, one object a line out."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.edges.gateway.protocols.answers import told
from mainspring.edges.gateway.protocols.codec import Decoded, Given, Headers
from mainspring.serving.decode import Malformed, RowDecoder

_SHAPE = "send one JSON object a line"
_encoder = msgspec.json.Encoder()


class JsonLines:
    """``application/jsonlines``, for one model."""

    name = "jsonlines"

    def __init__(self, decoder: RowDecoder) -> None:
        self._decoder = decoder

    def decode(self, body: bytes, headers: Any) -> Decoded:
        lines = [line for line in body.splitlines() if line.strip()]
        listed = b"[" + b",".join(lines) + b"]"
        rows, _ = self._decoder.decode(listed)
        if len(rows) != len(lines):
            raise Malformed("not_json", "the lines are not one object each", field="body", remedy=_SHAPE)
        return Decoded(rows, listed)

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        said: list[dict[str, Any]] = [
            {"version": arm.number, "value": value}
            | ({} if arm.threshold is None else {"decision": value >= arm.threshold})
            for arm, value in given
        ]
        return told("application/jsonlines", id, given), _encoder.encode_lines(said)
