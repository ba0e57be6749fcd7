"""Faults that a rehearsal injects into the challenger, to see whether the policy would notice."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest

KINDS = ("loss", "errors", "latency")
SHAPES = {"loss": "loss=+0.02", "errors": "errors=5%", "latency": "latency=+50ms"}


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``loss`` is added to each of the challenger's losses, ``errors`` of its answers fail, at random and anew in each
    play, and ``latency_us`` is added to the time that it takes.
    """

    loss: float = 0.0
    errors: float = 0.0
    latency_us: int = 0

    def words(self) -> list[str]:
        """Return the faults as they are written."""
        said = [f"loss={self.loss:+g}"] if self.loss else []
        said += [f"errors={100 * self.errors:g}%"] if self.errors else []
        return said + ([f"latency={self.latency_us / 1_000:+g}ms"] if self.latency_us else [])


def parse_faults(asked: Sequence[str]) -> Faults:
    """Read faults as people write them; each kind at most once.

    >>> parse_faults(["loss=+0.02", "errors=5%"])
    Faults(loss=0.02, errors=0.05, latency_us=0)
    """
    found: dict[str, float] = {}
    for text in asked:
        kind, _, amount = text.partition("=")
        if kind not in KINDS:
            raise InvalidInput("is not a fault", field="inject", value=text, remedy=nearest(kind, KINDS))
        if kind in found:
            raise InvalidInput("is given twice", field="inject", value=text, remedy="give each kind once")
        found[kind] = _amount(kind, amount.strip(), text)
    return Faults(found.get("loss", 0.0), found.get("errors", 0.0), round(found.get("latency", 0.0)))


def _amount(kind: str, amount: str, text: str) -> float:
    try:
        if kind == "latency":
            return parse_duration(amount.removeprefix("+"), field="inject").total_seconds() * 1e6
        number = float(amount.removesuffix("%")) / 100.0 if amount.endswith("%") else float(amount)
    except (ValueError, InvalidInput):
        number = float("nan")
    most = 1.0 if kind == "errors" else 1e6
    least = 0.0 if kind == "errors" else -1e6
    if not least <= number <= most:
        raise InvalidInput("cannot be read", field="inject", value=text, remedy=f"write it like {SHAPES[kind]}")
    return number
