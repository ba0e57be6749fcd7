"""Reads a Parquet file or a folder of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mainspring.adapters.sources.files import Asked, read_files
from mainspring.features.ports import Read
from mainspring.features.spec import ParquetReader, SourceSpec


class ParquetFiles:
    """Satisfies ``SourceReader``."""

    def read(
        self,
        spec: SourceSpec,
        project_root: Path,
        watermark: str | None = None,
        known_until_us: int | None = None,
        known_since_us: int | None = None,
    ) -> Read:
        if not isinstance(spec.reader, ParquetReader):
            raise TypeError(spec.reader)
        asked = Asked(known_since_us, known_until_us)

        def scan(files: list[Path], asked: Asked) -> pl.DataFrame:
            rows = pl.scan_parquet(files)
            bounds = _bounds(spec, asked, rows.collect_schema())
            return (rows.filter(bounds) if bounds else rows).collect()

        return read_files(spec, project_root / spec.reader.path, "parquet", watermark, asked, scan)


def _bounds(spec: SourceSpec, asked: Asked, schema: pl.Schema) -> list[pl.Expr]:
    """Return conditions on the file's own column of times, so that what is not wanted is not even decoded."""
    name, delay_us = (spec.time, spec.known_after_us or 0) if spec.known_at is None else (spec.known_at, 0)
    dtype = schema.get(name)
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None or dtype.time_unit != "us":
        return []
    return asked.of(pl.col(name).dt.epoch("us") + delay_us)
