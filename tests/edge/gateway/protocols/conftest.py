"""One gateway with one model of every kind of column, and a second version that may be asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from mainspring.kernel.schema import Column
from mainspring.testing.models import linear_onnx, model_route, onnx_version, routing

COLUMNS = (
    Column("id", "str"),
    Column("distance", "float"),
    Column("hour", "int"),
    Column("night", "bool"),
    Column("wind", "float", nullable=True),
    Column("carrier", "str", nullable=True),
    Column("sched", "time", nullable=True),
)
INPUTS = (Column("distance", "float"), Column("hour", "int"))
MOST_ROWS = 200


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.fixture(scope="session")
def served(new_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Version 1 answers logistic(distance / 100 + hour / 10); version 2, which is pinned, a tenth of that."""
    site = new_site(tmp_path_factory.mktemp("protocols") / "home")
    champion = onnx_version(site.blobs, "ver_1", 1, linear_onnx({"distance": 0.01, "hour": 0.1}), INPUTS, threshold=0.7)
    other = onnx_version(site.blobs, "ver_2", 2, linear_onnx({"distance": 0.001, "hour": 0.01}), INPUTS)
    route = model_route(champion, columns=COLUMNS, pinned=("ver_2",), max_rows=MOST_ROWS, deadline_ms=20_000)
    site.publish(routing(1, route, [champion, other]))
    site.gateway()
    site.ready()
    yield site
    site.stop()
