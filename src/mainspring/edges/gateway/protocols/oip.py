"""Open Inference Protocol v2 over REST: a tensor a column, as JSON or as bytes behind it, in both directions."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any

import msgspec
import numpy as np

from mainspring import __version__
from mainspring.edges.gateway.protocols.codec import Decoded, Described, Given, Headers
from mainspring.edges.gateway.protocols.document import read
from mainspring.edges.gateway.protocols.table import Table
from mainspring.kernel.classes import class_kind
from mainspring.kernel.errors import nearest
from mainspring.kernel.schema import Kind
from mainspring.serving.columnar import Values
from mainspring.serving.decode import Malformed

_SHAPE = "send inputs, a list of tensors with name, shape, datatype and data"
_LENGTH = "inference-header-content-length"
_OURS: dict[Kind, str] = {"float": "FP64", "int": "INT64", "bool": "BOOL", "str": "BYTES", "time": "BYTES"}
_INTEGERS = {f"{sign}INT{bits}": f"<{letter}{bits // 8}" for sign, letter in (("", "i"), ("U", "u"))
             for bits in (8, 16, 32, 64)}  # fmt: skip
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_STORED = {**_INTEGERS, **_FLOATS, "BOOL": "?"}
_TAKEN: dict[Kind, tuple[str, ...]] = {
    "float": (*_FLOATS, *_INTEGERS),
    "int": tuple(_INTEGERS),
    "bool": ("BOOL",),
    "str": ("BYTES",),
    "time": ("BYTES",),
}
_LIMITS = {name: (np.iinfo(kind).min, np.iinfo(kind).max) for name, kind in _INTEGERS.items()}
_SEQUENCE = "sequence_"
_encode = msgspec.json.Encoder().encode


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Wanted] | None = None


class _Note(msgspec.Struct):
    """What the answer must look like: the caller's id, and for each wanted output whether it goes as bytes."""

    id: str | None
    outputs: list[tuple[str, bool]] | None
    binary: bool


class Output(msgspec.Struct):
    """One output: a value a row, or as many as it is ``wide``."""

    name: str
    datatype: str
    values: Sequence[Any]
    wide: int | None = None


_envelope = msgspec.json.Decoder(_Envelope)


class OpenInference:
    """``infer`` of one model. Answers hold ``value``, ``version`` and, where versions decide, ``decision``."""

    name = "oip"

    def __init__(self, table: Table, model: Described) -> None:
        self._table = table
        self._model = model
        self._kinds = {column.name: column for column in model.columns}

    def decode(self, body: bytes, headers: Any) -> Decoded:
        head, rest = _split(body, headers.get(_LENGTH))
        given = read(_envelope, head, _SHAPE)
        note = _Note(given.id, self._wanted(given.outputs), _flag(given.parameters, "binary_data_output"))
        refused = next((name for name in given.parameters if name.startswith(_SEQUENCE)), None)
        if refused is not None:
            raise Malformed("unknown_field", "the model keeps no state between requests", field=refused)
        columns: dict[str, Values] = {}
        place = 0
        for tensor in given.inputs:
            if tensor.name in columns:
                raise Malformed("duplicate_field", "is given twice", field=tensor.name, remedy="give each input once")
            size = _binary_size(tensor, len(rest) - place)
            piece = rest[place : place + size] if size is not None else None
            place += size or 0
            columns[tensor.name] = self._values(tensor, piece)
        if place != len(rest):
            what = f"holds {len(rest) - place} bytes that no input claims"
            raise Malformed("wrong_length", what, field="body", remedy="state binary_data_size of every binary input")
        asked = self._table.from_columns(columns)
        asked.note = note
        return asked

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        note: _Note = asked.note
        numbers = [arm.number for arm, _ in given]
        known = {one.name: one for one in [*self.outputs(given), Output("version", "INT64", numbers)]}
        wanted = note.outputs or [(name, note.binary) for name in known]
        said, pieces = _tensors([(known[name], binary) for name, binary in wanted if name in known])
        answer = {
            "model_name": self._model.name,
            **({"model_version": str(numbers[0])} if len(set(numbers)) == 1 else {}),
            **({"id": note.id} if note.id is not None else {}),
            "parameters": self.parameters(id, given),
            "outputs": said,
        }
        head = _encode(answer)
        if not any(binary for _, binary in wanted):
            return [("content-type", "application/json")], head
        headers = [("content-type", "application/octet-stream"), (_LENGTH, str(len(head)))]
        return headers, b"".join([head, *pieces])

    def outputs(self, given: Given) -> list[Output]:
        """Return what was answered, one output after the other."""
        outputs = [Output("value", "FP64", [value for _, value in given])]
        thresholds = [arm.threshold for arm, _ in given]
        if None not in thresholds:
            decisions = [value >= arm.threshold for arm, value in given if arm.threshold is not None]
            outputs.append(Output("decision", "BOOL", decisions))
        return outputs

    def parameters(self, id: str, given: Given) -> dict[str, Any]:
        """Return what is said beside the outputs."""
        return {"prediction_id": id}

    def _wanted(self, outputs: Sequence[_Wanted] | None) -> list[tuple[str, bool]] | None:
        if not outputs:
            return None
        known = [one["name"] for one in _outputs(self._model)]
        for wanted in outputs:
            if wanted.name not in known:
                raise Malformed("unknown_output", "is not an output here", field=wanted.name,
                                remedy=nearest(wanted.name, known))  # fmt: skip
            if wanted.parameters.get("classification"):
                remedy = "leave it out: an answer holds all there is"
                raise Malformed("unknown_field", "is not offered", field="classification", remedy=remedy)
        return [(wanted.name, _flag(wanted.parameters, "binary_data")) for wanted in outputs]

    def _values(self, tensor: _Tensor, piece: bytes | None) -> Values:
        column = self._kinds.get(tensor.name)
        if column is None:
            remedy = nearest(tensor.name, self._kinds)
            raise Malformed("unknown_field", "is not an input here", field=tensor.name, remedy=remedy)
        if tensor.datatype not in _TAKEN[column.kind]:
            remedy = f"send it as {_OURS[column.kind]}"
            raise Malformed(
                "wrong_type", "has a datatype that does not fit", field=tensor.name, value=tensor.datatype,
                remedy=remedy,
            )  # fmt: skip
        count = _rows(tensor)
        values = _from_json(tensor) if piece is None else _from_bytes(tensor, piece, count)
        if len(values) != count:
            what = f"has {len(values)} values where its shape says {count}"
            raise Malformed("wrong_length", what, field=tensor.name, remedy="make shape and data agree")
        return _finite(tensor.name, values, column.nullable) if tensor.datatype in _FLOATS else values


def _split(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """Return the JSON and what lies behind it."""
    if length is None:
        return body, b""
    if not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > len(body):
        remedy = "state how many bytes of the body are JSON"
        raise Malformed("wrong_length", "is not the length of the JSON", field=_LENGTH, value=length, remedy=remedy)
    return body[: int(length)], body[int(length) :]


def _rows(tensor: _Tensor) -> int:
    if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]) or tensor.shape[0] < 0:
        remedy = "send [rows] or [rows, 1]"
        raise Malformed(
            "wrong_shape", "has a shape that does not fit a column", field=tensor.name, value=tensor.shape,
            remedy=remedy,
        )  # fmt: skip
    return tensor.shape[0]


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise Malformed("wrong_type", "must be true or false", field=name, value=value)
    return value


def _binary_size(tensor: _Tensor, left: int) -> int | None:
    """Return how many bytes the tensor takes of what lies behind the JSON; None for one whose values are in it."""
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    if tensor.data is not None:
        what = "has values in the JSON and behind it"
        raise Malformed("wrong_length", what, field=tensor.name, remedy="send data or binary_data_size, not both")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        what = f"claims bytes that are not there: {left} are left"
        raise Malformed("wrong_length", what, field=tensor.name, value=size, remedy="send all that is claimed")
    return size


def _from_json(tensor: _Tensor) -> Values:
    values: Sequence[Any] | None = tensor.data
    if values is None:
        raise Malformed("missing_field", "has no data", field=tensor.name, remedy="send data, or binary_data_size")
    if len(tensor.shape) == 2 and values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    limits = _LIMITS.get(tensor.datatype)
    if limits is not None:
        least, most = limits
        for index, value in enumerate(values):
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                what = f"is not an {tensor.datatype}"
                raise Malformed("wrong_type", what, field=f"[{index}].{tensor.name}", value=value)
    return values


def _from_bytes(tensor: _Tensor, piece: bytes, count: int) -> Values:
    if tensor.datatype == "BYTES":
        return _texts(tensor.name, piece, count)
    kind = np.dtype(_STORED[tensor.datatype])
    if len(piece) != count * kind.itemsize:
        what = f"has {len(piece)} bytes where its shape and datatype make {count * kind.itemsize}"
        raise Malformed("wrong_length", what, field=tensor.name, remedy="make shape, datatype and bytes agree")
    if tensor.datatype == "BOOL" and piece.strip(b"\0\1"):
        raise Malformed("wrong_type", "holds bytes that are neither 0 nor 1", field=tensor.name)
    values: list[Any] = np.frombuffer(piece, kind).tolist()
    return values


def _texts(name: str, piece: bytes, count: int) -> list[str]:
    """Return the texts of ``<length u32><bytes>`` pieces."""
    texts: list[str] = []
    place = 0
    while place < len(piece):
        if len(texts) == count or place + 4 > len(piece):
            raise Malformed("wrong_length", "has bytes behind its last text", field=name)
        (length,) = struct.unpack_from("<I", piece, place)
        place += 4
        if place + length > len(piece):
            what = "claims a text that is longer than what was sent"
            raise Malformed("wrong_length", what, field=f"[{len(texts)}].{name}", value=length)
        try:
            texts.append(piece[place : place + length].decode())
        except UnicodeDecodeError:
            raise Malformed("wrong_type", "is not UTF-8 text", field=f"[{len(texts)}].{name}") from None
        place += length
    return texts


def _finite(name: str, values: Values, nullable: bool) -> Values:
    """Return floats, with NaN as what is missing where the column allows it; nothing else may be without end."""
    found = list(values)
    for index, value in enumerate(found):
        if isinstance(value, float) and not isfinite(value):
            if nullable and isnan(value):
                found[index] = None
                continue
            remedy = "send NaN if it is missing" if nullable else "send a number"
            raise Malformed(
                "not_finite", "is not a finite number", field=f"[{index}].{name}", value=value, remedy=remedy
            )
    return found


def _tensors(outputs: Sequence[tuple[Output, bool]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    said: list[dict[str, Any]] = []
    pieces = []
    for output, binary in outputs:
        values, wide = output.values, output.wide
        shape = [len(values)] if wide is None else [len(values) // wide, wide]
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": shape}
        if binary:
            piece = _packed(output)
            pieces.append(piece)
            tensor["parameters"] = {"binary_data_size": len(piece)}
        else:
            tensor["data"] = values
        said.append(tensor)
    return said, pieces


def _packed(output: Output) -> bytes:
    if output.datatype != "BYTES":
        return np.array(output.values, dtype=_STORED[output.datatype]).tobytes()
    texts = [value.encode() for value in output.values]
    return b"".join([struct.pack("<I", len(text)) + text for text in texts])


def _outputs(model: Described) -> list[dict[str, Any]]:
    if model.classes:
        likeliest = {"name": "class", "datatype": _OURS[class_kind(model.classes)], "shape": [-1]}
        probabilities = {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(model.classes)]}
        return [likeliest, probabilities, {"name": "version", "datatype": "INT64", "shape": [-1]}]
    kinds = {"value": "FP64", **({"decision": "BOOL"} if model.decides else {}), "version": "INT64"}
    return [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in kinds.items()]


def input_types(kind: Kind) -> tuple[str, ...]:
    """Return the datatypes that a column of this kind takes."""
    return _TAKEN[kind]


def server_metadata() -> bytes:
    """Return what ``GET /v2`` says."""
    return _encode({"name": "mainspring", "version": __version__, "extensions": ["binary_tensor_data"]})


def model_metadata(model: Described) -> bytes:
    """Return what ``GET /v2/models/{name}`` says."""
    inputs = [{"name": column.name, "datatype": _OURS[column.kind], "shape": [-1]} for column in model.columns]
    versions = [str(number) for number in model.versions]
    known = {"name": model.name, "versions": versions, "platform": "mainspring"}
    return _encode({**known, "inputs": inputs, "outputs": _outputs(model)})
