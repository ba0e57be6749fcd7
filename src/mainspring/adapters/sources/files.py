"""What reading Parquet and CSV has in common: finding files, telling whether they changed, errors in plain words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from mainspring.features.ports import Read
from mainspring.features.rows import KNOWN, timed
from mainspring.features.spec import SourceSpec
from mainspring.kernel.errors import InvalidInput, NotFound
from mainspring.kernel.ids import digest_of


def read_files(
    spec: SourceSpec, path: Path, suffix: str, known_until_us: int | None, scan: Callable[[list[Path]], pl.DataFrame]
) -> Read:
    """Return the rows of a file, or of a folder's files, known by then; the watermark changes when a file does."""
    files = _files(spec, path, suffix)
    mark = digest_of([[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files])
    try:
        rows = scan(files)
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"cannot be read as {suffix} ({str(error).splitlines()[0]})"
        raise InvalidInput(what, field=f"Source({spec.name!r})", value=str(path)) from None
    if known_until_us is not None:
        known = timed(spec, rows)
        rows = known.filter(pl.col(KNOWN) <= known_until_us)
    return Read(rows, mark)


def _files(spec: SourceSpec, path: Path, suffix: str) -> list[Path]:
    files = sorted(path.glob(f"*.{suffix}")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        remedy = f"give the path of a .{suffix} file or of a folder of them, relative to the project"
        raise NotFound("there is no such file", field=f"Source({spec.name!r})", value=str(path), remedy=remedy)
    return files
