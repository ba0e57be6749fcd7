"""A real control on loopback over a home with one model, and a client that says every header itself."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from mainspring.adapters.home import create_home
from mainspring.edges.api.server import ControlServer
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import Platform, open_platform
from mainspring.project.rows import undeclared_model
from mainspring.registry.environment import capture
from mainspring.registry.version import Version

HEADERS = {"X-Mainspring-Request": "1", "X-Mainspring-Actor": "ana", "Content-Type": "application/json"}


class Client:
    """Speaks HTTP to one control. ``None`` leaves a header out that is sent otherwise."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, Any, Any]:
        sent: dict[str, str | None] = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            sent |= HEADERS
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            given = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, raw, given)
            answer = connection.getresponse()
            content = answer.read()
        kind = answer.headers.get_content_type()
        return answer.status, msgspec.json.decode(content) if kind == "application/json" else content, answer.headers


def add_versions(platform: Platform, count: int) -> str:
    """Register versions of a model ``late`` of a project ``flights`` and return the model's id."""
    with platform.store.begin("setup") as tx:
        model = undeclared_model(tx, "flights", "late")
        for number in range(count):
            version = Version(
                id="",
                model=model,
                number=0,
                runtime="onnx",
                files={"model.onnx": platform.blobs.put(b"graph %d" % number)},
                signature=Signature("binary", (Column("x", "float"),)),
                environment=capture([]),
            )
            platform.registry.register(tx, version)
    return model


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = create_home(tmp_path_factory.mktemp("api") / "home")
    with closing(open_platform(home)) as opened:
        add_versions(opened, 2)
        yield opened


@pytest.fixture(scope="module")
def ask(platform: Platform) -> Iterator[Client]:
    with ControlServer(platform) as server:
        yield Client(server.address.port, server.address.token)
