"""Answer a logged request again from what was logged, and compare with what was said then."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mainspring.features.spec import ViewSpec
from mainspring.kernel.schema import Column, Signature
from mainspring.kernel.values import Plain, Vector, plain
from mainspring.serving.assemble import Assembly, read_features
from mainspring.serving.decode import RowDecoder
from mainspring.serving.ports import Row


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one version said then and says now about one logged row."""

    prediction_id: str
    row: int
    version: str
    then: Plain
    again: Plain
    equal: bool


class Logged(msgspec.Struct, frozen=True):
    """One logged row: its JSON object, its logged features as JSON (one object), and the logged answer."""

    prediction_id: str
    row: int
    body: bytes
    features: bytes
    output: float | None


def inputs(
    logged: Sequence[Logged], signature: Signature, columns: Sequence[Column], views: Sequence[ViewSpec]
) -> list[Row]:
    """Return the rows that the version saw, rebuilt from the log alone."""
    assembly = Assembly(signature, columns, views)
    rows = []
    for one, asked in zip(logged, decoded(logged, columns), strict=True):
        seen: dict[str, Any] = msgspec.json.decode(one.features) if one.features else {}
        rows.append(assembly.row(asked, read_features(seen, views)))
    return rows


def decoded(logged: Sequence[Logged], columns: Sequence[Column]) -> list[Row]:
    """Return the rows that were asked, as the gateway read them."""
    decoder = RowDecoder(columns, [column.name for column in columns if column.nullable])  # Arrow leaves them out whole
    return [decoder.decode(one.body)[0][0] for one in logged]


def replay(
    logged: Sequence[Logged],
    version: str,
    signature: Signature,
    columns: Sequence[Column],
    views: Sequence[ViewSpec],
    run: Callable[[Sequence[Row]], Sequence[float]],
) -> list[Replay]:
    """Return, for each logged row, what was said then, what is said now, and whether the bytes are equal."""
    answers = run(inputs(logged, signature, columns, views))
    return [
        Replay(one.prediction_id, one.row, version, plain(one.output), plain(again), same_bytes(one.output, again))
        for one, again in zip(logged, answers, strict=True)
    ]


def same_bytes(then: float | None, again: float | None) -> bool:
    """Tell whether two answers are the same eight bytes a number (so 0.0 and -0.0 differ)."""
    if then is None or again is None:
        return then is again
    return _bytes(then) == _bytes(again)


def _bytes(value: float) -> bytes:
    numbers = value.numbers if isinstance(value, Vector) else (value,)
    return struct.pack(f"<{len(numbers)}d", *numbers)
