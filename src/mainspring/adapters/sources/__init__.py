"""Readers of sources: Parquet, CSV, SQL."""

from __future__ import annotations

from mainspring.adapters.sources.csv import CsvFiles
from mainspring.adapters.sources.parquet import ParquetFiles
from mainspring.adapters.sources.sql import SqlQueries
from mainspring.features.ports import SourceReader


def readers() -> dict[str, SourceReader]:
    """Return a reader for each kind of source, by the tag of its declaration."""
    return {"parquet": ParquetFiles(), "csv": CsvFiles(), "sql": SqlQueries()}
