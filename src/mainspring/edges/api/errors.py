"""From the tree of errors to HTTP: code, field and sentence; what was not foreseen shows an id and nothing else."""

from __future__ import annotations

import logging

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mainspring.kernel.errors import MainspringError
from mainspring.kernel.ids import new_id

STATUS = {
    "invalid_input": 400,
    "invalid_project": 422,
    "not_found": 404,
    "conflict": 409,
    "refused": 403,
    "unavailable": 503,
    "damaged": 500,
    "worker_failed": 422,
}
_log = logging.getLogger("mainspring.control")


def answer_error(error: MainspringError) -> Response:
    """Return what an error looks like from outside."""
    headers = {"retry-after": "1"} if error.code == "unavailable" else {}
    status = STATUS.get(error.code, 500)
    if error.field == "authorization":
        status, headers = 401, {"www-authenticate": "Bearer"}
    return json_response(error.as_dict(), status, headers)


async def answer_fault(request: Request, error: Exception) -> Response:
    """Answer for a fault of ours: an id that the log explains."""
    id = new_id("err")
    _log.error("%s %s %s", id, request.method, request.url.path, exc_info=error)
    return json_response({"code": "fault", "message": f"control made an error; its log has it as {id}", "id": id}, 500)


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as a JSON answer."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
