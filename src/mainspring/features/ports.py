"""What features ask of the world: newest rows by key, and readers of sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

from mainspring.features.spec import SourceSpec, ViewSpec

if TYPE_CHECKING:  # a gateway reads features and needs no frames, which take 40 MB
    from polars import DataFrame

FeatureValue = float | int | bool | str | None


class FeatureRow(msgspec.Struct, frozen=True, gc=False):
    """Features of one key at one moment, in the view's order; ``known_us`` is the newest known-at within its reach."""

    values: tuple[FeatureValue, ...]
    known_us: int | None


class Latest(Protocol):
    """Features by key at a moment. Satisfied by LMDB. All of it can be built again from the sources."""

    def put(self, view_digest: str, spec: ViewSpec, source: SourceSpec, rows: DataFrame) -> None:
        """Take rows of the source into a view; rows that it already has change nothing. Whole or not at all."""
        ...

    def get(self, view_digest: str, keys: Sequence[str], at_us: int) -> list[FeatureRow | None]:
        """Return the features of each key (see ``encode_key``) as known at ``at_us``; None if the view is not fed."""
        ...

    def position(self, view_digest: str) -> str:
        """Return what ``mark`` last said of the view; empty for a view that is not fed."""
        ...

    def mark(self, view_digest: str, position: str) -> None:
        """Remember up to where the view was fed."""
        ...

    def drop(self, view_digest: str) -> None:
        """Forget a view."""
        ...

    def beside(self) -> Self:
        """Return an empty store beside this one, to be filled and taken."""
        ...

    def take(self, other: Self) -> None:
        """Put another store in this one's place, for readers too; nothing of before is left in any file."""
        ...

    def follow(self) -> None:
        """Read from what was put in this store's place, if anything was; readers call it now and then."""
        ...


class Read(msgspec.Struct, frozen=True):
    """What a reader found: rows of the source, and where to read on from."""

    frame: DataFrame
    watermark: str | None = None


class SourceReader(Protocol):
    """Reads a source. Satisfied by Parquet, CSV and SQL."""

    def read(
        self,
        spec: SourceSpec,
        project_root: Path,
        watermark: str | None = None,
        known_until_us: int | None = None,
        known_since_us: int | None = None,
    ) -> Read:
        """Return rows at or after the watermark and known by then (all if not given), and the next watermark.

        A reader that sees by the watermark that nothing was changed may leave out rows known at ``known_since_us`` or
        before: they were read with that watermark.
        """
        ...
