"""``MLmodel``: what an MLflow model folder says of itself, read without MLflow, and written for its clients."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from mainspring.kernel.errors import InvalidInput
from mainspring.kernel.schema import Column, Kind, Signature
from mainspring.registry.plain_yaml import read_yaml
from mainspring.registry.version import Environment, Version

FILE = "MLmodel"
LOADER = "mainspring.edges.mlflow"
DATA = "data"
_KINDS: dict[str, Kind] = {
    "double": "float",
    "float": "float",
    "long": "int",
    "integer": "int",
    "boolean": "bool",
    "string": "str",
    "datetime": "time",
}
_TYPES: dict[Kind, str] = {"float": "double", "int": "long", "bool": "boolean", "str": "string", "time": "datetime"}


class MlModel(msgspec.Struct, frozen=True):
    """A model folder. ``graph`` is the file of its ONNX flavour, if it has that; ``inputs`` are its named columns."""

    flavors: dict[str, Any]
    graph: str | None
    inputs: tuple[Column, ...]
    environment: Environment


def read_mlmodel(text: str, requirements: str = "") -> MlModel:
    """Read ``MLmodel``; ``requirements`` is the text of the folder's ``requirements.txt``."""
    try:
        document = read_yaml(text)
    except InvalidInput as error:
        raise InvalidInput(error.what, field=f"{FILE}, {error.field}", value=error.value) from None
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict) or not flavors:
        raise InvalidInput("names no flavours", field=FILE, remedy="give a folder that mlflow.…save_model wrote")
    onnx = flavors.get("onnx")
    graph = onnx.get("data") if isinstance(onnx, dict) else None
    function = flavors.get("python_function")
    python = str(function.get("python_version", "")) if isinstance(function, dict) else ""
    packages = dict(_pins(requirements))
    return MlModel(flavors, str(graph) if graph else None, _inputs(document), Environment(python, "", packages))


def write_mlmodel(version: Version) -> str:
    """Return the ``MLmodel`` of a version that MLflow loads through ``mainspring``: JSON, which is YAML."""
    flavors: dict[str, Any] = {
        "python_function": {
            "loader_module": LOADER,
            "data": DATA,
            "python_version": version.environment.python,
            "env": {"virtualenv": "python_env.yaml"},
        }
    }
    if version.runtime == "onnx":
        flavors["onnx"] = {
            "data": f"{DATA}/model.onnx",
            "onnx_version": "",
            "code": None,
            "providers": ["CPUExecutionProvider"],
        }
    document = {
        "flavors": flavors,
        "model_uuid": version.id,
        "signature": {"inputs": json.dumps(_typed(version.signature)), "outputs": None, "params": None},
        "utc_time_created": version.created_us,
    }
    return json.dumps(document, indent=1)


def _inputs(document: dict[str, Any]) -> tuple[Column, ...]:
    signature = document.get("signature")
    stated = signature.get("inputs") if isinstance(signature, dict) else None
    if not stated:
        return ()
    try:
        columns = json.loads(stated)
        named = [(str(one["name"]), str(one["type"]), one.get("required", True) is False) for one in columns]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()  # tensors without names: the graph itself says what it takes, or the folder is refused
    for name, kind, _ in named:
        if kind not in _KINDS:
            raise InvalidInput(f"has a column of type {kind}", field=name, remedy=f"use one of: {', '.join(_KINDS)}")
    return tuple(Column(name, _KINDS[kind], nullable or _KINDS[kind] == "float") for name, kind, nullable in named)


def _typed(signature: Signature) -> list[dict[str, Any]]:
    return [
        {"name": column.name, "type": _TYPES[column.kind], "required": not column.nullable}
        for column in signature.inputs
    ]


def _pins(requirements: str) -> list[tuple[str, str]]:
    """Return the exact pins; looser lines bind nobody."""
    lines = [line.partition("#")[0].partition(";")[0].strip() for line in requirements.splitlines()]
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith("-")]
    return [(name.partition("[")[0].strip(), version.strip()) for name, _, version in pairs]
