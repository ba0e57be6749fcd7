"""MLflow scoring: ``dataframe_split``, ``dataframe_records``, ``inputs`` or ``instances``; answers ``predictions``."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from mainspring.edges.gateway.protocols.answers import predictions, told
from mainspring.edges.gateway.protocols.codec import Decoded, Given, Headers
from mainspring.edges.gateway.protocols.document import read
from mainspring.edges.gateway.protocols.table import Table
from mainspring.serving.decode import Malformed

_SHAPE = "send an object with exactly one of dataframe_split, dataframe_records, inputs and instances"
_SPLIT = "send columns and data, as DataFrame.to_dict(orient='split') gives them"
_NAN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|\bNaN\b')  # a text without an end is one, too: it is never read twice
_encode = msgspec.json.Encoder().encode


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, Any] | None = None


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[Any]
    index: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_split = msgspec.json.Decoder(_Split)


class Mlflow:
    """What ``mlflow models serve`` takes and gives, for one model."""

    name = "mlflow"

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, body: bytes, headers: Any) -> Decoded:
        given = read(_envelope, _null_for_nan(body), _SHAPE)
        if given.params:
            remedy = "leave params out"
            raise Malformed("unknown_field", "the model takes no parameters", field="params", remedy=remedy)
        named = {name: getattr(given, name) for name in _Envelope.__struct_fields__ if name != "params"}
        sent = [(name, raw) for name, raw in named.items() if isinstance(raw, msgspec.Raw)]
        if len(sent) != 1:
            raise Malformed("wrong_type", f"has {len(sent)} of the fields", field="body", remedy=_SHAPE)
        name, raw = sent[0]
        if name == "dataframe_split":
            split = read(_split, raw, _SPLIT, name)
            return self._table.from_columns(self._table.columns.named(split.columns, split.data))
        if name == "inputs":
            return self._table.from_either(raw, name)
        return self._table.from_rows(raw, name)

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        return told("application/json", id, given), _encode({"predictions": predictions(given)})


def _null_for_nan(body: bytes) -> bytes:
    """Return the body with null for NaN, which pandas and MLflow's client write for what is missing."""
    if b"NaN" not in body:
        return body
    return _NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], body)
