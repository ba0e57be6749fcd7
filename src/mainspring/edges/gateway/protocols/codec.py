"""The seam between a protocol and the hot path: a body becomes rows, the rows' answers become a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from mainspring.kernel.schema import Column, Label
from mainspring.serving.ports import Row

Headers = list[tuple[str, str]]


class Decoded(msgspec.Struct, gc=False):
    """What a body asks: rows in the order of the model's columns, and the same rows as the log keeps them.

    ``listed`` is one JSON object or a list of them, or an Arrow stream, as it came wherever the body holds such.
    ``several`` says that the caller sent a list; ``note`` is what the codec itself remembers until it answers.
    """

    rows: Sequence[Row]
    listed: bytes
    several: bool = True
    note: Any = None


class Described(msgspec.Struct, frozen=True):
    """What a protocol may tell of a model: its columns, its classes, the versions to ask, and whether it decides."""

    name: str
    columns: tuple[Column, ...]
    champion: int
    versions: tuple[int, ...]
    decides: bool
    most_rows: int
    classes: tuple[Label, ...] = ()


class Answerer(Protocol):
    """The version that gave an answer, as callers are told of it."""

    @property
    def number(self) -> int: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def classes(self) -> tuple[Label, ...]: ...


Given = Sequence[tuple[Answerer, float]]
"""Who answered each row, and what."""


class Codec(Protocol):
    """One protocol for one model; made when a snapshot is loaded, so that a request finds everything prepared."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        ...

    def decode(self, body: bytes, headers: Any) -> Decoded:
        """Return what the body asks; ``headers`` are the request's. Raises ``InvalidInput`` with field and remedy."""
        ...

    def encode(self, asked: Decoded, id: str, given: Given) -> tuple[Headers, bytes]:
        """Return the answer's own headers and its body."""
        ...
