"""Reads a CSV file with a header, or a folder of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mainspring.adapters.sources.files import Asked, read_files
from mainspring.features.ports import Read
from mainspring.features.spec import CsvReader, SourceSpec


class CsvFiles:
    """Satisfies ``SourceReader``. Kinds are inferred from every line, so a late text breaks nothing."""

    def read(
        self,
        spec: SourceSpec,
        project_root: Path,
        watermark: str | None = None,
        known_until_us: int | None = None,
        known_since_us: int | None = None,
    ) -> Read:
        if not isinstance(spec.reader, CsvReader):
            raise TypeError(spec.reader)
        missing = list(spec.reader.null_values)

        def scan(files: list[Path], asked: Asked) -> pl.DataFrame:
            return pl.read_csv(files, null_values=missing, infer_schema_length=None)

        asked = Asked(known_since_us, known_until_us)
        return read_files(spec, project_root / spec.reader.path, "csv", watermark, asked, scan)
