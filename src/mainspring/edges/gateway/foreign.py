"""Routes that others defined: Open Inference Protocol, TF Serving, and the ``/invocations`` of MLflow and SageMaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainspring.edges.gateway.limits import JSON, read_query
from mainspring.edges.gateway.predict import answer, pinned
from mainspring.edges.gateway.protocols import oip, tfserving
from mainspring.edges.gateway.routes import Said
from mainspring.edges.gateway.snapshot import Model
from mainspring.kernel.errors import Unavailable

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

_MODEL = "x-mainspring-model"


def infer(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> Said:
    """Answer ``POST /v2/models/{name}[/versions/{version}]/infer``."""
    return answer(gateway, scope, proto, name, "oip", version)


def tf_predict(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> Said:
    """Answer ``POST /v1/models/{name}[/versions/{version}]:predict``."""
    return answer(gateway, scope, proto, name, "tfserving", version)


def invocations(gateway: Gateway, scope: Any, proto: Any) -> Said:
    """Answer ``POST /invocations``: the model is a header's, or the setting's, or the only one there is."""
    project, name = gateway.follower.invoked(scope.headers.get(_MODEL))
    return answer(gateway, scope, proto, name, "invocations", project=project)


async def ping(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Answer ``GET /ping`` and ``GET /health`` as containers do: 200 once it can be asked."""
    await _refuse_unready(gateway)
    return _said(proto, b"\n")


async def server_live(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Answer ``GET /v2/health/live``."""
    return _said(proto, b'{"live":true}')


async def server_ready(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Answer ``GET /v2/health/ready``."""
    await _refuse_unready(gateway)
    return _said(proto, b'{"ready":true}')


async def server_metadata(gateway: Gateway, scope: Any, proto: Any) -> int:
    """Answer ``GET /v2``."""
    return _said(proto, oip.server_metadata())


async def model_metadata(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> int:
    """Answer ``GET /v2/models/{name}[/versions/{version}]``."""
    return _said(proto, oip.model_metadata(_model(gateway, scope, name, version).described))


async def model_ready(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> int:
    """Answer ``GET /v2/models/{name}[/versions/{version}]/ready``: a model in the snapshot is loaded and warm."""
    _model(gateway, scope, name, version)
    await _refuse_unready(gateway)
    return _said(proto, b'{"ready":true}')


async def tf_status(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> int:
    """Answer ``GET /v1/models/{name}[/versions/{version}]``."""
    model = _model(gateway, scope, name, version)
    numbers = list(model.described.versions) if version is None else [pinned(model, version).number]
    return _said(proto, tfserving.status(numbers))


async def tf_metadata(gateway: Gateway, scope: Any, proto: Any, name: str, version: str | None = None) -> int:
    """Answer ``GET /v1/models/{name}[/versions/{version}]/metadata``."""
    return _said(proto, tfserving.metadata(_model(gateway, scope, name, version).described))


def _model(gateway: Gateway, scope: Any, name: str, version: str | None) -> Model:
    model = gateway.follower.model(name, read_query(scope, "project").get("project"))
    if version is not None:
        pinned(model, version)
    return model


async def _refuse_unready(gateway: Gateway) -> None:
    why = await gateway.not_ready()
    if why is not None:
        raise Unavailable("is not ready", field="gateway", value=why, remedy="try again in a second")


def _said(proto: Any, body: bytes) -> int:
    proto.response_bytes(200, [JSON], body)
    return 200
