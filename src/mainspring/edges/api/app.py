"""The control API and the page as one ASGI application with one table of routes, each with its permission."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mainspring.edges.api import mlflow
from mainspring.edges.api.errors import STATUS, answer_error, answer_fault, json_response
from mainspring.edges.api.guard import Door, Known, Locks, read_actor, read_body, require_intent
from mainspring.edges.api.mlflow import ARTIFACTS, CALLS
from mainspring.edges.api.openapi import describe
from mainspring.edges.api.strict_json import read_object
from mainspring.edges.verbs import VERBS
from mainspring.edges.verbs.verb import Permission, Verb, encode
from mainspring.edges.web.pages import PAGES, Page, missing
from mainspring.kernel.errors import InvalidInput, MainspringError, NotFound, Refused

if TYPE_CHECKING:
    from mainspring.platform import Platform

_BASIC = 'Basic realm="mainspring: any name, and a key or the token of the page as the password"'
_NEEDED = "a key with the role read is needed as the password, or the token that mainspring page shows"
Handler = Callable[[Request], Awaitable[Response]]


class Entry(msgspec.Struct, frozen=True):
    """One line of the table of routes. ``open`` needs no token: the read-only page and ``/live``."""

    path: str
    method: Literal["GET", "POST"]
    permission: Permission | Literal["open"]
    handler: Any


def build(platform: Platform, locks: Locks, hosts: Callable[[], frozenset[bytes]]) -> ASGIApp:
    """Return the application. ``hosts`` gives the exact Host values to answer to, once the port is known."""
    table = route_table(platform, locks)
    app = Starlette(
        routes=[Route(entry.path, entry.handler, methods=[entry.method]) for entry in table],
        exception_handlers={HTTPException: _answer_http, Exception: answer_fault},
    )
    app.router.redirect_slashes = False
    refuse_unlisted(app, table)
    return Door(app, hosts, _refuse_host)


def route_table(platform: Platform, locks: Locks) -> tuple[Entry, ...]:
    """Return every route there is."""
    document = describe(VERBS)
    return (
        *(_verb_entry(platform, verb, locks) for verb in VERBS),
        *(_page_entry(platform, page, locks) for page in PAGES),
        *(_mlflow_entry(platform, call, locks) for call in CALLS),
        Entry(ARTIFACTS + "/{path:path}", "GET", "read", _artifact_handler(platform, locks)),
        Entry("/live", "GET", "open", _live),
        Entry("/api/openapi.json", "GET", "read", _guarded(lambda request: json_response(document), locks)),
    )


def refuse_unlisted(app: Starlette, table: Sequence[Entry]) -> None:
    """Walk the live router and refuse to start with a route or a method that the table does not name."""
    listed = {(entry.path, method) for entry in table for method in _methods(entry.method)}
    for route in app.router.routes:
        path = getattr(route, "path", repr(route))
        for method in getattr(route, "methods", None) or {"*"}:
            if not isinstance(route, Route) or (path, method) not in listed:
                raise Refused("is not in the table of routes", field="route", value=f"{method} {path}")


def _methods(method: str) -> tuple[str, ...]:
    return ("GET", "HEAD") if method == "GET" else (method,)


def _verb_entry(platform: Platform, verb: Verb, locks: Locks) -> Entry:
    async def handle(request: Request) -> Response:
        try:
            whose = locks.require(request, verb.permission)
            by, asked = await _read_call(request, verb, whose)
            result = await anyio.to_thread.run_sync(lambda: encode(verb.call(platform, asked, by)))
        except MainspringError as error:
            return answer_error(error)
        return Response(result, 200, media_type="application/json")

    return Entry(verb.path, "POST" if verb.mutates else "GET", verb.permission, handle)


async def _read_call(request: Request, verb: Verb, whose: Known) -> tuple[str, Any]:
    if not verb.mutates:
        pairs = request.query_params.multi_items()
        values = dict(pairs)
        if len(values) < len(pairs):
            raise InvalidInput("an argument is given twice", field="query")
        return "", verb.read(values, strict=False)
    require_intent(request)
    by = read_actor(request, whose)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InvalidInput("must be application/json", field="content-type")
    return by, verb.read(read_object(await read_body(request, verb.limit_bytes)))


def _page_entry(platform: Platform, page: Page, locks: Locks) -> Entry:
    async def handle(request: Request) -> Response:
        try:
            locks.require_to_look(request, private=page.private)
        except Refused:
            return Response(_NEEDED, 401, {"www-authenticate": _BASIC}, "text/plain")
        try:
            body = await anyio.to_thread.run_sync(lambda: page.render(platform, request.path_params))
        except NotFound as error:
            body = missing(platform, error.sentence())
            return Response(body, 404, media_type="text/html; charset=utf-8")
        except InvalidInput as error:
            body = missing(platform, error.sentence())
            return Response(body, 400, media_type="text/html; charset=utf-8")
        except MainspringError as error:
            return Response(error.sentence(), 503, media_type="text/plain")
        return Response(body, 200, media_type=page.media_type)

    return Entry(page.path, "GET", "read" if page.private else "open", handle)


def _mlflow_entry(platform: Platform, call: str, locks: Locks) -> Entry:
    async def handle(request: Request) -> Response:
        try:
            locks.require(request, "read")
            asked = dict(request.query_params)
            body = await anyio.to_thread.run_sync(lambda: mlflow.answer(platform, call, asked))
        except MainspringError as error:
            return json_response(mlflow.as_mlflow_says(error), STATUS.get(error.code, 400))
        return json_response(body)

    return Entry(call, "GET", "read", handle)


def _artifact_handler(platform: Platform, locks: Locks) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            locks.require(request, "read")
            path = request.path_params["path"]
            body = await anyio.to_thread.run_sync(lambda: mlflow.artifact(platform, path))
        except MainspringError as error:
            return json_response(mlflow.as_mlflow_says(error), STATUS.get(error.code, 400))
        return Response(body, 200, {"content-disposition": "attachment"}, "application/octet-stream")

    return handle


def _guarded(answer: Callable[[Request], Response], locks: Locks) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            locks.require(request, "read")
        except MainspringError as error:
            return answer_error(error)
        return answer(request)

    return handle


async def _live(request: Request) -> Response:
    return json_response({"live": True})


async def _answer_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "wrong_method"}.get(status, "error")
    message = {404: "there is no such address", 405: "this address does not take that method"}.get(status, "refused")
    return json_response({"code": code, "message": message}, status)


async def _refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    answer = json_response({"code": "refused", "message": "this Host or address is not answered here"}, 421)
    await answer(scope, receive, send)
