"""OpenAPI, derived from the table of verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring import __version__
from mainspring.edges.verbs.verb import Verb


def describe(verbs: Sequence[Verb]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these verbs."""
    argument_types = list(dict.fromkeys(verb.arguments for verb in verbs))
    references, schemas = msgspec.json.schema_components(argument_types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(argument_types, references, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mainspring control", "version": __version__},
        "security": [{"token": []}],
        "paths": {verb.path: _operation(verb, schema_of[verb.arguments], schemas) for verb in verbs},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, "Error": _ERROR},
        },
    }


def _operation(verb: Verb, reference: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": verb.name.replace(" ", "_"),
        "summary": verb.summary,
        "tags": [verb.group],
        "x-permission": verb.permission,
        "responses": {
            "200": {"description": "done", "content": {"application/json": {}}},
            "default": {
                "description": "refused or failed",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if not verb.mutates:
        return {"get": {**operation, "parameters": _parameters(schemas[verb.arguments.__name__])}}
    operation["parameters"] = [_header("X-Mainspring-Request", "always 1"), _header("X-Mainspring-Actor", "who asks")]
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
    return {"post": operation}


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": about.get("description", ""),
            "schema": {key: value for key, value in about.items() if key != "description"},
        }
        for name, about in schema["properties"].items()
    ]


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "field": {"type": "string"},
        "remedy": {"type": "string"},
    },
}
