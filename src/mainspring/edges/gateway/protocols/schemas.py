"""What each protocol takes and gives, as JSON Schema, from a model's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE as ARROW
from mainspring.edges.gateway.protocols.codec import Described
from mainspring.edges.gateway.protocols.invocations import CSV, JSON, LINES
from mainspring.edges.gateway.protocols.oip import input_types
from mainspring.kernel.classes import class_kind, class_texts
from mainspring.kernel.schema import Column, Kind

Schema = dict[str, Any]
Content = dict[str, Schema]
Describe = Callable[[Described], Content]

_GREATEST_FLOAT = 2**1024 - 2**970 - 1  # a number above it is read as infinite, and refused
_KINDS: dict[Kind, Schema] = {
    "int": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -_GREATEST_FLOAT, "maximum": _GREATEST_FLOAT},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
}
_TEXT: Schema = {"type": "string"}
_BINARY: Schema = {"schema": {"type": "string", "format": "binary"}}
_NUMBER: Schema = {"type": "number"}


def json_of(schema: Schema) -> Content:
    """Return the content of a JSON body."""
    return {JSON: {"schema": schema}}


def record(properties: Schema, optional: Sequence[str] = ()) -> Schema:
    """Return an object with exactly these properties."""
    required = [name for name in properties if name not in optional]
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def listing(items: Schema, most: int | None = None) -> Schema:
    """Return a list of at least one item."""
    found: Schema = {"type": "array", "items": items, "minItems": 1}
    return found if most is None else {**found, "maxItems": most}


def value_of(column: Column) -> Schema:
    """Return the values that a column takes."""
    kind = _KINDS[column.kind]
    return {**kind, "type": [kind["type"], "null"]} if column.nullable else kind


def row(columns: Sequence[Column], optional: Sequence[str] = ()) -> Schema:
    """Return the object that is one row."""
    return record({column.name: value_of(column) for column in columns}, optional)


def _rows(model: Described) -> Schema:
    return listing(row(model.columns), model.most_rows)


def _lists(model: Described) -> Schema:
    items = [value_of(column) for column in model.columns]
    return listing(
        {"type": "array", "prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)},
        model.most_rows,
    )


def _columns(model: Described) -> Schema:
    """Columns are as long as each other, which JSON Schema cannot say: one row is what it can say."""
    return record({column.name: {**listing(value_of(column), 1)} for column in model.columns})


def _said(model: Described) -> Schema:
    """Return what an answer to one row says, where the model has classes."""
    kind = _KINDS[class_kind(model.classes)]
    share: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    each = {"type": "object", "properties": dict.fromkeys(class_texts(model.classes), share)}
    return {"class": kind, "probabilities": {**each, "additionalProperties": share}}


def _one(model: Described) -> Schema:
    if model.classes:
        return record({"version": {"type": "integer"}, **_said(model)})
    decision: Schema = {"decision": {"type": "boolean"}}
    return record({"version": {"type": "integer"}, "value": _NUMBER, **decision}, ["decision"])


def native_request(model: Described) -> Content:
    return {**json_of({"anyOf": [row(model.columns), _rows(model)]}), ARROW: _BINARY}


def native_answer(model: Described) -> Content:
    one = _one(model)
    alone = {**one, "properties": {"id": _TEXT, **one["properties"]}, "required": ["id", *one["required"]]}
    many = record({"id": _TEXT, "predictions": listing(one)})
    return {**json_of({"anyOf": [alone, many]}), ARROW: _BINARY}


def oip_request(model: Described) -> Content:
    tensors = []
    for column in model.columns:
        shape = {"type": "array", "prefixItems": [{"const": 1}], "items": False, "minItems": 1, "maxItems": 1}
        name, kind = {"const": column.name}, {"enum": list(input_types(column.kind))}
        plain = Column(column.name, column.kind)
        data = listing(value_of(plain), 1) if column.kind in ("bool", "str", "time") else listing({"enum": [0, 1]}, 1)
        tensors.append(record({"name": name, "shape": shape, "datatype": kind, "data": data}))
    inputs = {"type": "array", "prefixItems": tensors, "items": False, "minItems": len(tensors)}
    asked = {"id": _TEXT, "inputs": {**inputs, "maxItems": len(tensors)}}
    return {**json_of(record(asked, ["id"])), "application/octet-stream": _BINARY}


def oip_answer(model: Described) -> Content:
    tensor = {"name": _TEXT, "datatype": _TEXT, "shape": listing({"type": "integer"}), "data": {"type": "array"}}
    parameters = {"type": "object"}
    said = {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "parameters": parameters,
            "outputs": listing(record(tensor))}  # fmt: skip
    return {**json_of(record(said, ["model_version", "id"])), "application/octet-stream": _BINARY}


def tf_request(model: Described) -> Content:
    signature: Schema = {"signature_name": {"const": "serving_default"}}
    by_row = {"instances": {"anyOf": [_rows(model), _lists(model)]}, **signature}
    by_column = {"inputs": _columns(model), **signature}
    return json_of({"anyOf": [record(by_row, ["signature_name"]), record(by_column, ["signature_name"])]})


def _answered(model: Described) -> Schema:
    if model.classes:
        return listing(record(_said(model)))
    decided = record({"value": _NUMBER, "decision": {"type": "boolean"}})
    return listing({"anyOf": [_NUMBER, decided]})


def tf_answer(model: Described) -> Content:
    if model.classes:
        kind = _KINDS[class_kind(model.classes)]
        one = {"class": kind, "probabilities": listing(_NUMBER), "all_classes": listing(kind)}
        by_row = record({"predictions": listing(record(one))})
        by_column = record({"outputs": record({name: listing(schema) for name, schema in one.items()})})
        return json_of({"anyOf": [by_row, by_column]})
    columns = record({"value": listing(_NUMBER), "decision": listing({"type": "boolean"})})
    outputs = {"anyOf": [listing(_NUMBER), columns]}
    return json_of({"anyOf": [record({"predictions": _answered(model)}), record({"outputs": outputs})]})


def invocations_request(model: Described) -> Content:
    width = len(model.columns)
    names = {"type": "array", "prefixItems": [{"const": column.name} for column in model.columns], "items": False,
             "minItems": width, "maxItems": width}  # fmt: skip
    forms: list[Schema] = [
        {"dataframe_split": record({"columns": names, "data": _lists(model)})},
        {"dataframe_records": _rows(model)},
        {"instances": {"anyOf": [_rows(model), _lists(model)]}},
        {"inputs": {"anyOf": [_rows(model), _lists(model), _columns(model)]}},
    ]
    json = json_of({"anyOf": [record(form) for form in forms]})
    return {**json, CSV: {"schema": _TEXT}, LINES: {"schema": _TEXT}, ARROW: _BINARY}


def invocations_answer(model: Described) -> Content:
    json = json_of(record({"predictions": _answered(model)}))
    return {**json, CSV: {"schema": _TEXT}, LINES: {"schema": _TEXT}, ARROW: _BINARY}
