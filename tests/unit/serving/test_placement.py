from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mainspring.kernel.schema import Column, Signature
from mainspring.registry.version import Environment, Parity, Version
from mainspring.serving.placement import placement

GRAPH = Version(
    id="ver_1",
    model="mdl_1",
    number=1,
    runtime="onnx",
    files={},
    signature=Signature("binary", (Column("x", "float"),)),
    environment=Environment("3.11", "", {}),
    parity=Parity(100, 1e-7, 1e-5, 0, equal=True),
    plain_graph=True,
    p999_ms=1.0,
)
UNEQUAL = Parity(100, 0.5, 1e-5, 3, equal=False, reason="differs by up to 0.5")


def test_a_proven_plain_and_quick_graph_may_run_in_the_gateway() -> None:
    assert placement(GRAPH, deadline_ms=100).in_gateway
    assert placement(msgspec.structs.replace(GRAPH, parity=None), deadline_ms=100).in_gateway


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"p999_ms": 25.0}, "its p99.9 of 25 ms is not below 25 ms, a quarter of the deadline"),
        ({"p999_ms": None}, "its p99.9 could not be measured"),
        ({"plain_graph": False}, "its graph holds loops, branches or operators of its own"),
        ({"parity": UNEQUAL}, "its graph is not proven equal: differs by up to 0.5"),
        ({"runtime": "python", "parity": UNEQUAL}, "not a graph: differs by up to 0.5"),
        ({"runtime": "mlflow", "parity": None}, "not a graph"),
    ],
)
def test_any_other_version_runs_in_a_process_of_its_own_and_says_why(changed: dict[str, Any], reason: str) -> None:
    found = placement(msgspec.structs.replace(GRAPH, **changed), deadline_ms=100)
    assert (found.in_gateway, found.reason) == (False, reason)
    assert found.limit_ms == 25.0
