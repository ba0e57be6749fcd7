"""Errors in the words of each protocol; status and headers are the gateway's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mainspring.edges.gateway.limits import problem
from mainspring.kernel.errors import MainspringError

Answer = tuple[int, list[tuple[str, str]], bytes]

_MLFLOW = {
    400: "BAD_REQUEST",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _saying(form: Callable[[int, str], Any]) -> Callable[[BaseException], Answer]:
    def said(error: BaseException) -> Answer:
        status, headers, _ = problem(error)
        message = error.sentence() if isinstance(error, MainspringError) else "the gateway failed; its log says more"
        return status, headers, msgspec.json.encode(form(status, message))

    return said


said_briefly = _saying(lambda status, message: {"error": message})
"""Open Inference Protocol and TF Serving."""

said_by_mlflow = _saying(
    lambda status, message: {
        "error_code": _MLFLOW.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"),
        "message": message,
    }
)
"""MLflow scoring; SageMaker hands any body on."""
