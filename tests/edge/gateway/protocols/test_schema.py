"""The gateway's OpenAPI document, held against the gateway by schemathesis."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from mainspring.edges.gateway.table import ROUTES

PATHS = [
    ("POST", "/predict/late"), ("POST", "/outcomes/late"), ("POST", "/v2/models/late/infer"),
    ("POST", "/v2/models/late/versions/{version}/infer"), ("POST", "/v1/models/late:predict"),
    ("POST", "/v1/models/late/versions/{version}:predict"), ("POST", "/invocations"),
    ("GET", "/v2"), ("GET", "/v2/models/late"), ("GET", "/v2/models/late/versions/{version}/ready"),
    ("GET", "/v1/models/late"), ("GET", "/v1/models/late/metadata"), ("GET", "/ready"),
]  # fmt: skip
CONFORM = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
EXAMPLES = 25


@pytest.fixture(scope="module")
def schema(served: Any) -> Any:
    status, document, _ = served.ask("/openapi.json")
    assert status == 200
    return schemathesis.openapi.from_dict(document)


def test_every_route_is_in_the_document(schema: Any) -> None:
    described = {(method.upper(), path) for path, item in schema.raw_schema["paths"].items() for method in item}
    expected = {
        (route.method, route.path.replace("{name}", "late"))
        for route in ROUTES.routes
        if route.path != "/sources/{name}"
    }
    assert described == expected


def test_a_row_is_described_by_the_models_columns(schema: Any) -> None:
    body = schema.raw_schema["paths"]["/predict/late"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = body["anyOf"][0]
    assert row["required"] == ["id", "distance", "hour", "night", "wind", "carrier", "sched"]
    assert row["properties"]["night"] == {"type": "boolean"}
    assert row["properties"]["carrier"] == {"type": ["string", "null"]}
    assert row["additionalProperties"] is False


def whole(value: Any) -> Any:
    """Return the value with 7 for 7.0: JSON Schema holds them for the same, the gateway takes only 7 for an integer."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def without_moments(case: Any) -> None:
    """No schema can say which moments have come and are not too long ago, or what can be done in a millisecond."""
    for name in ("x-mainspring-at", "x-mainspring-deadline-ms"):
        (case.headers or {}).pop(name, None)
    for row in case.body if isinstance(case.body, list) else [case.body]:
        for name in ("event_time", "known_at"):
            if isinstance(row, dict) and name in row:
                row[name] = None
    case.body = _within_the_calendar(case.body)


def _within_the_calendar(value: Any) -> Any:
    """Return the value with no moment that lies, by another zone's clock, before the year 1 or behind 9999."""
    if isinstance(value, dict):
        return {key: _within_the_calendar(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_within_the_calendar(item) for item in value]
    beyond = isinstance(value, str) and value[:10] in ("0001-01-01", "9999-12-31")
    return f"2001{value[4:]}" if beyond else value


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_the_gateway_does_as_the_document_says(
    schema: Any, served: Any, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and method == "GET":
        return
    agreed = positive_data_acceptance if mode is GenerationMode.POSITIVE else negative_data_rejection

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def hold(case: Any) -> None:
        if case.media_type not in (None, "application/json"):
            return  # what is not JSON has tests of its own
        if mode is GenerationMode.POSITIVE:
            without_moments(case)
        elif str((case.headers or {}).get("x-mainspring-deadline-ms", "")).isdigit():
            case.headers.pop("x-mainspring-deadline-ms")
        case.body = whole(case.body)
        response = case.call(base_url=f"http://127.0.0.1:{served.port}")
        case.validate_response(response, checks=[*CONFORM, agreed])

    hold()
