"""Reads a Parquet file or a folder of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mainspring.adapters.sources.files import read_files
from mainspring.features.ports import Read
from mainspring.features.spec import ParquetReader, SourceSpec


class ParquetFiles:
    """Satisfies ``SourceReader``."""

    def read(
        self, spec: SourceSpec, project_root: Path, watermark: str | None = None, known_until_us: int | None = None
    ) -> Read:
        if not isinstance(spec.reader, ParquetReader):
            raise TypeError(spec.reader)
        return read_files(spec, project_root / spec.reader.path, "parquet", known_until_us, pl.read_parquet)
