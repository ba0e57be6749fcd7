"""The same real gateway and model processes as in ``tests/edge/gateway``."""

from __future__ import annotations

import importlib.util
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_PATH = Path(__file__).parents[1] / "edge" / "gateway" / "conftest.py"
_spec = importlib.util.spec_from_file_location("gateway_site", _PATH)
assert _spec is not None
assert _spec.loader is not None
_module: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def new_site() -> Any:
    return _module.Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Any]:
    made = _module.Site(tmp_path / "home")
    try:
        yield made
    finally:
        made.stop()


Raw = Callable[..., bytes]


@pytest.fixture
def raw() -> Raw:
    """Return what a server says to exact bytes, until it hangs up or has been silent for ``wait_s``."""

    def say(port: int, data: bytes, wait_s: float = 5.0) -> bytes:
        said = b""
        with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
            connection.sendall(data)
            try:
                while piece := connection.recv(65_536):
                    said += piece
            except (TimeoutError, ConnectionError):
                pass
        return said

    return say


@pytest.fixture
def metric() -> Callable[[Any, str], float]:
    """Return the sum of a metric over its series."""

    def read(site: Any, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0] == name)

    return read


@pytest.fixture(scope="session")
def body() -> bytes:
    return json.dumps({"id": "f1", "distance": 100.0, "carrier": "UA"}).encode()
