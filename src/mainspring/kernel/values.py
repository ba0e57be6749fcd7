"""What a model answers, typed: one number, or several of which one stands for all; the rest have their own shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec


class Vector(float):
    """Several numbers ``(k,)`` that answer one row: a class's probability each. As a number it is the greatest of them.

    It is NaN where they are no answer, so whatever looks at one number has looked at all of them.

    >>> said = Vector(0.7, (0.1, 0.7, 0.2))
    >>> said > 0.5, said.numbers
    (True, (0.1, 0.7, 0.2))
    """

    __slots__ = ("numbers",)
    numbers: tuple[float, ...]

    def __new__(cls, value: float, numbers: Sequence[float]) -> Vector:
        made = super().__new__(cls, value)
        made.numbers = tuple(numbers)
        return made

    def __getnewargs__(self) -> tuple[float, tuple[float, ...]]:  # type: ignore[override]  # it takes one more
        return float(self), self.numbers

    def __repr__(self) -> str:
        return f"Vector{self.numbers!r}"


Plain = float | list[float] | None


def plain(value: float | None) -> Plain:
    """Return an answer as JSON and MessagePack can carry it: a list of numbers for a vector."""
    if value is None:
        return None
    return list(value.numbers) if isinstance(value, Vector) and isfinite(value) else float(value)


def from_plain(value: Any) -> float | None:
    """Return the answer that ``plain`` made plain."""
    if value is None or isinstance(value, int | float):
        return value
    return Vector(max(value), value)


class Ranking(msgspec.Struct, frozen=True, tag="ranking"):
    """Items from best to worst, with a score each."""

    items: tuple[str, ...]
    scores: tuple[float, ...]


class Embedding(msgspec.Struct, frozen=True, tag="embedding"):
    """A vector ``(d,)``; long ones are kept as float32 bytes under ``payload_digest``."""

    vector: tuple[float, ...] = ()
    payload_digest: str | None = None
