"""A real control on loopback over a home with one model, and a client that says every header itself."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from mainspring.adapters.home import create_home
from mainspring.edges.api.server import ControlServer
from mainspring.kernel.duration import HOUR_US
from mainspring.kernel.schema import Column, Signature
from mainspring.platform import Platform, open_platform
from mainspring.project.rows import undeclared_model
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe
from mainspring.registry.tables import models
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


SPEC = ModelSpec(
    name="late",
    task="binary",
    entity="flight_id",
    source="flights",
    predict_at=PredictAt("sched_dep", -7_200_000_000),
    outcome=OutcomeSpec("arr_delay > 15", "flights", 36 * HOUR_US, affected_by_answer=False),
    recipes=(Recipe("default", "project:train"),),
    columns=(Column("flight_id", "str"), Column("x", "float")),
)


def declare(platform: Platform, count: int) -> str:
    """Make a declared model with a champion and further versions whose checks passed; return its id."""
    model = add_versions(platform, count)
    with platform.store.begin("ana") as tx:
        tx.connection.execute(update(models).values(spec=msgspec.json.encode(SPEC).decode()))
        tx.record("model.declared", model, "its answers change no outcome")
    for version in platform.registry.versions(model):
        for result in platform.checks.run(version.id, by="ana"):
            if result.blocks:
                platform.checks.override(version.id, result.name, by="ana", reason="there is no data here")
    platform.releases.first_champion(model, platform.registry.by_number(model, 1).id, by="ana", reason="the first")
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
