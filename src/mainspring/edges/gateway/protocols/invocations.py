"""``/invocations`` of MLflow and SageMaker: one table of content types, and the codec of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.edges.gateway.limits import WrongContentType
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE as ARROW
from mainspring.edges.gateway.protocols.codec import Codec, Decoded, Given, Headers

JSON = "application/json"
CSV = "text/csv"
LINES = "application/jsonlines"
ALSO_LINES = ("application/x-ndjson", "application/x-jsonlines")
_ANY = ("*/*", "application/*")
_UNSAID = "application/x-www-form-urlencoded"  # what curl says of a body when nobody told it


class _Note(msgspec.Struct):
    """The codec that answers, and what the one that read remembers."""

    writer: Codec
    inner: Any


class Invocations:
    """Reads by ``Content-Type`` and answers by ``Accept``: JSON where neither says otherwise."""

    name = "invocations"

    def __init__(self, codecs: Mapping[str, Codec]) -> None:
        self._codecs = {**codecs, **dict.fromkeys(ALSO_LINES, codecs[LINES])}

    def decode(self, body: bytes, headers: Any) -> Decoded:
        kind, _, parameters = headers.get("content-type", JSON).partition(";")
        kind = kind.strip().lower()
        reader = self._codecs.get(JSON if kind == _UNSAID else kind)
        charset = dict(_pairs(parameters)).get("charset", "utf-8")
        if reader is None or charset not in ("utf-8", "us-ascii"):
            remedy = f"send {', '.join(self._codecs)}, in UTF-8"
            raise WrongContentType("is not read here", field="content-type", value=kind, remedy=remedy)
        writer = self._writer(headers.get("accept", "*/*"), kind)
        asked = reader.decode(body, headers)
        asked.note = _Note(writer, asked.note)
        return asked

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        note: _Note = asked.note
        return note.writer.encode(msgspec.structs.replace(asked, note=note.inner), id, given)

    def _writer(self, accept: str, kind: str) -> Codec:
        for wanted in accept.lower().split(","):
            word = wanted.partition(";")[0].strip()
            if word in self._codecs:
                return self._codecs[word]
            if word in _ANY:
                return self._codecs[kind if kind == ARROW else JSON]
        remedy = f"accept one of {', '.join(self._codecs)}"
        raise WrongContentType("is not written here", field="accept", value=accept, remedy=remedy)


def _pairs(parameters: str) -> list[tuple[str, str]]:
    """Return the parameters of a content type: ``charset=utf-8; header=present``."""
    pairs = [one.partition("=") for one in parameters.lower().split(";")]
    return [(name.strip(), value.strip(' "')) for name, _, value in pairs]
