"""``GET /openapi.json``: the route table with the columns of every model and source, as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring import __version__
from mainspring.edges.gateway import foreign
from mainspring.edges.gateway.limits import JSON
from mainspring.edges.gateway.outcomes import OPTIONAL, outcomes
from mainspring.edges.gateway.predict import predict
from mainspring.edges.gateway.protocols import schemas
from mainspring.edges.gateway.protocols.schemas import Content, Schema, json_of, listing, record, row
from mainspring.edges.gateway.routes import Route
from mainspring.edges.gateway.snapshot import Model, Snapshot, Source
from mainspring.edges.gateway.sources import sources
from mainspring.kernel.schema import Column

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

_OBJECT: Content = json_of({"type": "object"})
_TAKEN: Content = json_of(record({"accepted": {"type": "integer"}}))
_SPOKEN: dict[Callable[..., Any], tuple[schemas.Describe, schemas.Describe]] = {
    predict: (schemas.native_request, schemas.native_answer),
    foreign.infer: (schemas.oip_request, schemas.oip_answer),
    foreign.tf_predict: (schemas.tf_request, schemas.tf_answer),
    foreign.invocations: (schemas.invocations_request, schemas.invocations_answer),
}
_REFUSALS = {
    "400": "the request breaks a stated rule", "401": "no key, or one that is not known",
    "403": "the key's role does not allow it", "404": "there is no such model, version or route",
    "405": "the method does not go with the path", "408": "the body did not come in time",
    "413": "too many bytes or rows", "415": "a type or coding of the body that is not taken",
    "429": "too much at once; Retry-After says when to come back", "500": "the model failed",
    "503": "not now; Retry-After says when to come back", "504": "the deadline passed",
}  # fmt: skip
_HEADERS: dict[str, tuple[str, Schema]] = {
    "x-mainspring-at": ("the decision time: features are what was known then", {"type": "string"}),
    "x-mainspring-deadline-ms": (
        "less time than the model's own",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    ),
    "idempotency-key": ("logged, and equal for attempts of one call", {"type": "string"}),
    "x-mainspring-caller": ("who asks, where no key says it", {"type": "string"}),
}


async def openapi(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Answer ``GET /openapi.json``."""
    from mainspring.edges.gateway.table import ROUTES  # the table names this handler

    proto.response_bytes(200, [JSON], msgspec.json.encode(describe(gateway.follower.snapshot(), ROUTES.routes)))
    return 200


def describe(snapshot: Snapshot, routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document: a path for every model where a route has a name in it."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for path, operation in _operations(route, snapshot):
            paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mainspring gateway", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operations(route: Route, snapshot: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    if route.handler is sources:
        for named, several in _by_name(snapshot.sources(), lambda source: source.spec.name):
            bodies = [_source_body(source) for source in several]
            asked, answered = json_of(_any(bodies)), _TAKEN
            yield route.path.replace("{name}", named), _operation(route, named, several, asked, answered)
    elif "{name}" in route.path:
        for named, several in _by_name(snapshot.models(), lambda model: model.name):
            yield route.path.replace("{name}", named), _of_model(route, named, several)
    elif route.handler is foreign.invocations:
        models = snapshot.models()
        if models:
            yield route.path, _of_model(route, "", models)
    else:
        yield route.path, _operation(route, "", (), None, _OBJECT)


def _of_model(route: Route, named: str, models: Sequence[Model]) -> dict[str, Any]:
    if route.handler is outcomes:
        asked, answered = json_of(_any([_outcomes_body(model) for model in models])), _TAKEN
    elif route.handler in _SPOKEN:
        request, answer = _SPOKEN[route.handler]
        asked = _merged([request(model.described) for model in models])
        answered = _merged([answer(model.described) for model in models])
    else:
        asked, answered = None, _OBJECT
    return _operation(route, named, models, asked, answered)


def _operation(
    route: Route, named: str, several: Sequence[Model | Source], asked: Content | None, answered: Content
) -> dict[str, Any]:
    summary = (route.handler.__doc__ or "").strip().splitlines()[0].replace("``", "")
    status = "202" if answered is _TAKEN else "200"
    problem = json_of({"type": "object"})
    words = route.path.replace("{name}", named).replace("{version}", "version")
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{words}".replace("/", "_").replace(":", "_").replace(".", "_"),
        "summary": summary,
        "x-permission": route.permission,
        "responses": {
            status: {"description": "answered", "content": answered},
            **{code: {"description": why, "content": problem} for code, why in _REFUSALS.items()},
        },
    }
    parameters = list(_parameters(route, several))
    if parameters:
        operation["parameters"] = parameters
    if asked is not None:
        operation["requestBody"] = {"required": True, "content": asked}
    if route.permission != "open":
        operation["security"] = [{"key": []}, {}]
    return operation


def _parameters(route: Route, several: Sequence[Model | Source]) -> Iterator[dict[str, Any]]:
    models = [one for one in several if isinstance(one, Model)]
    numbers = sorted({str(number) for model in models for number in model.described.versions})
    if "{version}" in route.path:
        yield _parameter("version", "path", "the number of a version that is loaded", {"enum": numbers}, required=True)
    if several and "{name}" in route.path:
        projects = sorted({one.route.project_name for one in several})
        about = "needed where several projects have one of this name"
        yield _parameter("project", "query", about, {"enum": projects}, required=len(projects) > 1)
    if route.handler is foreign.invocations:
        known = sorted({f"{model.route.project_name}/{model.route.name}" for model in models})
        yield _parameter("x-mainspring-model", "header", "which model answers", {"enum": known}, required=False)
    if route.handler in _SPOKEN:
        if "{version}" not in route.path:
            yield _parameter("version", "query", "a version that answers instead", {"enum": numbers}, required=False)
        for name, (about, schema) in _HEADERS.items():
            yield _parameter(name, "header", about, schema, required=False)


def _parameter(name: str, where: str, about: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "description": about, "schema": schema}


def _outcomes_body(model: Model) -> Schema:
    times = [Column(name, "time", nullable=True) for name in OPTIONAL]
    known = [column for column in model.outcomes.columns if column.name not in OPTIONAL]
    one = row([*known, *times], OPTIONAL)
    return {"anyOf": [one, listing(one)]}


def _source_body(source: Source) -> Schema:
    one = row(source.route.spec.columns)
    return {"anyOf": [one, listing(one)]}


def _by_name(several: Iterable[Any], name: Callable[[Any], str]) -> Iterable[tuple[str, list[Any]]]:
    named: dict[str, list[Any]] = {}
    for one in several:
        named.setdefault(name(one.route), []).append(one)
    return named.items()


def _any(bodies: Sequence[Schema]) -> Schema:
    return bodies[0] if len(bodies) == 1 else {"anyOf": list(bodies)}


def _merged(contents: Sequence[Content]) -> Content:
    """Return the content of every one of several models that one path may mean."""
    return {
        kind: {"schema": _any([content[kind]["schema"] for content in contents])} if len(contents) > 1 else about
        for kind, about in contents[0].items()
    }
