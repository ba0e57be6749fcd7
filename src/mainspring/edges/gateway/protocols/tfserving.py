"""TF Serving's REST API: row ``instances`` are answered by ``predictions``, columnar ``inputs`` by ``outputs``."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.edges.gateway.protocols.answers import predictions, told
from mainspring.edges.gateway.protocols.codec import Decoded, Described, Given, Headers
from mainspring.edges.gateway.protocols.document import read
from mainspring.edges.gateway.protocols.table import Table
from mainspring.kernel.classes import class_kind
from mainspring.serving.decode import Malformed

_SHAPE = "send an object with either instances (rows) or inputs (columns)"
_SIGNATURE = "serving_default"
_TYPES = {"float": "DT_DOUBLE", "int": "DT_INT64", "bool": "DT_BOOL", "str": "DT_STRING", "time": "DT_STRING"}
_encode = msgspec.json.Encoder().encode


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    signature_name: str = _SIGNATURE
    parameters: dict[str, Any] | None = None


_envelope = msgspec.json.Decoder(_Envelope)


class TfServing:
    """``:predict`` of one model; Vertex AI sends and expects the same, with ``parameters`` beside it."""

    name = "tfserving"

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, body: bytes, headers: Any) -> Decoded:
        given = read(_envelope, body, _SHAPE)
        if given.signature_name not in ("", _SIGNATURE):
            remedy = f"use {_SIGNATURE}, or leave it out"
            raise Malformed(
                "unknown_signature", "is not known", field="signature_name", value=given.signature_name, remedy=remedy
            )
        if given.parameters:
            remedy = "leave parameters out"
            raise Malformed("unknown_field", "the model takes no parameters", field="parameters", remedy=remedy)
        rows, columns = given.instances, given.inputs
        if isinstance(rows, msgspec.Raw) and not isinstance(columns, msgspec.Raw):
            return self._table.from_rows(rows, "instances")
        if isinstance(columns, msgspec.Raw) and not isinstance(rows, msgspec.Raw):
            asked = self._table.from_either(columns, "inputs")
            asked.note = "columns"
            return asked
        raise Malformed("wrong_type", "has both or neither of the fields", field="body", remedy=_SHAPE)

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        headers = told("application/json", id, given)
        if asked.note != "columns":
            return headers, _encode({"predictions": predictions(given)})
        values = [value for _, value in given]
        thresholds = [arm.threshold for arm, _ in given]
        if None in thresholds:
            return headers, _encode({"outputs": values})
        decisions = [value >= arm.threshold for arm, value in given if arm.threshold is not None]
        return headers, _encode({"outputs": {"value": values, "decision": decisions}})


def status(numbers: list[int]) -> bytes:
    """Return the status of a model's loaded versions."""
    fine = {"error_code": "OK", "error_message": ""}
    return _encode(
        {"model_version_status": [{"version": str(one), "state": "AVAILABLE", "status": fine} for one in numbers]}
    )


def metadata(model: Described) -> bytes:
    """Return the model's signature in TF Serving's words."""
    outputs = {"value": "DT_DOUBLE", **({"decision": "DT_BOOL"} if model.decides else {})}
    if model.classes:
        kind = _TYPES[class_kind(model.classes)]
        outputs = {"class": kind, "probabilities": "DT_DOUBLE", "all_classes": kind}
    signature = {
        "inputs": {column.name: _tensor(column.name, _TYPES[column.kind]) for column in model.columns},
        "outputs": {name: _tensor(name, kind) for name, kind in outputs.items()},
        "method_name": "tensorflow/serving/predict",
    }
    spec = {"name": model.name, "signature_name": "", "version": str(model.champion)}
    known = {"signature_def": {"signature_def": {_SIGNATURE: signature}}}
    return _encode({"model_spec": spec, "metadata": known})


def _tensor(name: str, kind: str) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": kind, "tensor_shape": shape, "name": f"{_SIGNATURE}_{name}:0"}
