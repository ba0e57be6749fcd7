"""What a model answers, typed. Binary and regression answers are one number; the rest have shapes of their own."""

from __future__ import annotations

import msgspec


class Number(msgspec.Struct, frozen=True, tag="number"):
    """A probability of the positive class, or a regression's estimate."""

    value: float


class ClassVector(msgspec.Struct, frozen=True, tag="classes"):
    """Probabilities ``(k,)`` in the order of the signature's classes."""

    probabilities: tuple[float, ...]


class Quantiles(msgspec.Struct, frozen=True, tag="quantiles"):
    """Estimates ``(k,)`` at the stated levels in (0, 1)."""

    levels: tuple[float, ...]
    values: tuple[float, ...]


class Ranking(msgspec.Struct, frozen=True, tag="ranking"):
    """Items from best to worst, with a score each."""

    items: tuple[str, ...]
    scores: tuple[float, ...]


class Embedding(msgspec.Struct, frozen=True, tag="embedding"):
    """A vector ``(d,)``; long ones are kept as float32 bytes under ``payload_digest``."""

    vector: tuple[float, ...] = ()
    payload_digest: str | None = None


Output = Number | ClassVector | Quantiles | Ranking | Embedding
