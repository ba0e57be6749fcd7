from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mainspring.features.spec import Feature, ViewSpec
from mainspring.kernel.schema import Column, Signature
from mainspring.serving.replay import Logged, Replay, replay, same_bytes

WEATHER = ViewSpec("weather", "w", ("origin",), (Feature("temp", "last", "temp"),))
COLUMNS = (Column("id", "str"), Column("distance", "float"))
SIGNATURE = Signature(
    "regression", (Column("distance", "float"), Column("temp", "float")), COLUMNS, {"temp": "weather.temp"}
)
BODY = b'{"distance": 100, "id": "f1"}'
FEATURES = b'{"weather": [[0.5], 7, "d1"]}'


def product(rows: Sequence[tuple[Any, ...]]) -> list[float]:
    return [distance * temp for distance, temp in rows]


def test_a_logged_row_gives_the_same_bytes_again() -> None:
    logged = Logged("b1-1", 0, BODY, FEATURES, 50.0)
    assert replay([logged], "ver_1", SIGNATURE, COLUMNS, [WEATHER], product) == [
        Replay("b1-1", 0, "ver_1", then=50.0, again=50.0, equal=True)
    ]


def test_a_different_answer_is_told() -> None:
    logged = Logged("b1-1", 0, BODY, FEATURES, math.nextafter(50.0, 51.0))
    assert not replay([logged], "ver_1", SIGNATURE, COLUMNS, [WEATHER], product)[0].equal


def test_equal_means_the_same_eight_bytes() -> None:
    assert same_bytes(0.1 + 0.2, 0.30000000000000004)
    assert not same_bytes(0.0, -0.0)
    assert same_bytes(None, None)
    assert not same_bytes(None, 0.0)
