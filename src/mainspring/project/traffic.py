"""How many rows a day a source's file holds, for a forecast of releases before anything was ever predicted."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from mainspring.features.rows import as_times
from mainspring.features.spec import CsvReader, ParquetReader, SourceSpec
from mainspring.kernel.duration import DAY_US
from mainspring.kernel.errors import MainspringError


def rows_per_day(source: SourceSpec, root: Path) -> float | None:
    """Return the mean rows a day over the file's own span; None where there is no file, or no day in it."""
    try:
        times = _times(source, root)
    except (OSError, PolarsError, MainspringError):
        return None  # told when the source is inspected
    known = times.drop_nulls() if times is not None else pl.Series([], dtype=pl.Int64)
    if known.len() < 2:
        return None
    first, last = known.min(), known.max()
    days = (last - first) / DAY_US if isinstance(first, int) and isinstance(last, int) else 0.0
    return known.len() / days if days >= 1.0 else None


def _times(source: SourceSpec, root: Path) -> pl.Series | None:
    reader = source.reader
    if not isinstance(reader, (ParquetReader, CsvReader)):
        return None
    path = root / reader.path
    suffix = "parquet" if isinstance(reader, ParquetReader) else "csv"
    files = sorted(path.glob(f"*.{suffix}")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):  # a pipe would be waited for without end
        return None
    if isinstance(reader, ParquetReader):
        frame = pl.scan_parquet(files).select(source.time).collect()
    else:
        frame = pl.read_csv(files, columns=[source.time], null_values=list(reader.null_values))
    return as_times(frame.to_series(), source.name).dt.epoch("us")
