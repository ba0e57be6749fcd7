"""What a check found, and what it looked at."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import polars as pl

from mainspring.registry.model import ModelSpec
from mainspring.registry.version import Version

Status = Literal["passed", "failed", "inconclusive"]


class Finding(msgspec.Struct, frozen=True):
    """A verdict with its reason and numbers."""

    status: Status
    reason: str
    numbers: dict[str, Any] = {}


class CheckResult(msgspec.Struct, frozen=True):
    """A check's finding as it is stored. It blocks a release if it failed, is not a warning, and nobody overrode it."""

    name: str
    status: Status
    severity: str
    reason: str
    numbers: dict[str, Any]
    at_us: int
    overridden_by: str | None = None
    override_reason: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether this result keeps the version from being released."""
        return self.status == "failed" and self.severity == "block" and self.overridden_by is None


class Candidate(msgspec.Struct, frozen=True):
    """A version with its answers on held-out rows (None for one that was registered without).

    The columns of ``held_out`` are entity, at_us, known_us, label, score, champion_score (missing without a champion
    that could answer the same rows), champion_seen, and ``input.<name>`` for each input.
    """

    version: Version
    spec: ModelSpec | None
    held_out: pl.DataFrame | None
