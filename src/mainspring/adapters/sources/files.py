"""What reading Parquet and CSV has in common: finding files, telling whether they changed, errors in plain words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl

from mainspring.features.ports import Read
from mainspring.features.rows import KNOWN, timed
from mainspring.features.spec import SourceSpec
from mainspring.kernel.errors import InvalidInput, NotFound
from mainspring.kernel.ids import digest_of


class Asked(msgspec.Struct, frozen=True):
    """Which rows are wanted: those known after ``since_us`` and by ``until_us``, where given."""

    since_us: int | None = None
    until_us: int | None = None

    def of(self, known: pl.Expr) -> list[pl.Expr]:
        """Return the conditions on when a row is known."""
        bounds = []
        if self.since_us is not None:
            bounds.append(known > self.since_us)
        if self.until_us is not None:
            bounds.append(known <= self.until_us)
        return bounds


def read_files(
    spec: SourceSpec,
    path: Path,
    suffix: str,
    watermark: str | None,
    asked: Asked,
    scan: Callable[[list[Path], Asked], pl.DataFrame],
) -> Read:
    """Return the rows wanted of a file, or of a folder's files; the watermark changes when a file does."""
    files = _files(spec, path, suffix)
    mark = digest_of([[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files])
    if mark != watermark:
        asked = msgspec.structs.replace(asked, since_us=None)
    try:
        rows = scan(files, asked)
    except (pl.exceptions.PolarsError, OSError) as error:
        what = f"cannot be read as {suffix} ({str(error).splitlines()[0]})"
        raise InvalidInput(what, field=f"Source({spec.name!r})", value=str(path)) from None
    bounds = asked.of(pl.col(KNOWN))
    return Read(timed(spec, rows).filter(bounds) if bounds else rows, mark)


def _files(spec: SourceSpec, path: Path, suffix: str) -> list[Path]:
    files = sorted(path.glob(f"*.{suffix}")) if path.is_dir() else [path] if path.exists() else []
    if not files:
        remedy = f"give the path of a .{suffix} file or of a folder of them, relative to the project"
        raise NotFound("there is no such file", field=f"Source({spec.name!r})", value=str(path), remedy=remedy)
    odd = next((file for file in files if not file.is_file()), None)  # a pipe would be waited for without end
    if odd is not None:
        remedy = f"give a .{suffix} file"
        if odd != path:
            remedy = f"take it out of the folder, or give its name another ending than .{suffix}"
        raise InvalidInput(
            "is not a file that can be read", field=f"Source({spec.name!r})", value=str(odd), remedy=remedy
        )
    return files
