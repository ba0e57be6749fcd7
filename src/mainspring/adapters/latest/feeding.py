"""What feeding a view computes on frames. Whoever only reads features never loads this, nor the frames' library."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import polars as pl

from mainspring.adapters.latest.tile import TileWriter, codes_of
from mainspring.features.rows import KNOWN, TIME, timed
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.features.windows import UNTIL, entries, merged, numbered, steps


def brought_by(spec: ViewSpec, source: SourceSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of a source as the entries of a view."""
    return entries(spec, source, timed(source, rows))


def with_before(spec: ViewSpec, source: SourceSpec, before: pl.DataFrame | None, brought: pl.DataFrame) -> pl.DataFrame:
    """Return the entries that there were and the new ones, each with the moment at which it leaves."""
    return merged(spec, source, brought if before is None else pl.concat([before, brought]))


def tiles(
    spec: ViewSpec, whole: pl.DataFrame, brought: pl.DataFrame, cut_us: int
) -> tuple[str, Iterator[tuple[tuple[Any, ...], bytes]]]:
    """Return how the values of tiles are written, and the tiles of keys that changed; nothing if none did."""
    touched, groups = numbered(spec, whole, changed(spec, whole, brought))
    if touched.is_empty():
        return "", iter(())
    changes = steps(spec, touched)
    codes = codes_of(spec, changes.schema)
    keys = groups.select(spec.key).rows()
    return codes, ((keys[group], tile) for group, tile in TileWriter(spec, codes).pack(changes, cut_us))


def without_ends(whole: pl.DataFrame) -> pl.DataFrame:
    """Return what is kept of the entries."""
    return whole.drop(UNTIL)


def greatest(brought: pl.DataFrame) -> int:
    greatest = brought.get_column(KNOWN).max()
    return greatest if isinstance(greatest, int) else 0


def changed(spec: ViewSpec, whole: pl.DataFrame, brought: pl.DataFrame) -> pl.DataFrame:
    """Return rows that hold the keys that changed: those of the new rows, and of rows that the new ones revise."""
    if whole.get_column(UNTIL).null_count() == whole.height:
        return brought
    identity = [name for name in whole.columns if name.startswith("_row")]
    return whole.join(brought.select(identity).unique(), on=identity, how="semi")


def needed_after(spec: ViewSpec, rows: pl.DataFrame, cut_us: int) -> pl.DataFrame:
    """Return the rows that some moment after the cut may still see."""
    needed = pl.col(KNOWN) > cut_us
    for feature in spec.features:
        if feature.kind != "last":
            entered = pl.col(TIME if feature.by == "time" else KNOWN)
            needed = needed | (entered + (feature.over_us or 0) > cut_us)
    if any(feature.kind == "last" for feature in spec.features):
        age = [TIME, KNOWN, *(name for name in rows.columns if name.startswith("_row"))]
        old = rows.with_row_index("_place").filter(pl.col(KNOWN) <= cut_us).sort(age)
        newest = old.unique(subset=spec.key, keep="last").get_column("_place")
        alive = pl.lit(value=True) if spec.ttl_us is None else pl.col(TIME) + spec.ttl_us > cut_us
        needed = needed | (alive & pl.int_range(pl.len(), dtype=pl.UInt32).is_in(newest.implode()))
    if rows.get_column(UNTIL).null_count() < rows.height:
        needed = needed.any().over([name for name in rows.columns if name.startswith("_row")])
    return rows.filter(needed)


def to_bytes(rows: pl.DataFrame) -> bytes:
    data = io.BytesIO()
    rows.write_ipc_stream(data)
    return data.getvalue()


def from_bytes(data: bytes) -> pl.DataFrame:
    """Return rows as ``to_bytes`` wrote them."""
    return pl.read_ipc_stream(io.BytesIO(data))
