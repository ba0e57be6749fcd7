"""What protocols have in common when they answer: numbers, or objects where a version also decides; and the headers."""

from __future__ import annotations

from typing import Any

from mainspring.edges.gateway.protocols.codec import Given, Headers


def predictions(given: Given) -> list[Any]:
    """Return one number a row, or ``{"value", "decision"}`` for rows whose version has a threshold."""
    return [
        value if arm.threshold is None else {"value": value, "decision": value >= arm.threshold} for arm, value in given
    ]


def told(content_type: str, id: str, given: Given) -> Headers:
    """Return the headers of an answer whose body has no place for the prediction's id and the versions."""
    numbers = sorted({arm.number for arm, _ in given})
    return [
        ("content-type", content_type),
        ("x-mainspring-prediction-id", id),
        ("x-mainspring-version", ",".join(map(str, numbers))),
    ]
