"""Tables as Parquet files in a bucket, under ``parts/<table>/``, with the home's folder as a cache.

A part is fetched whole and verified before any row of it is believed: a digest covers the whole file, so reading only
some of its ranges could not be verified. What was fetched stays in the folder, and columns stay in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from mainspring.adapters.bucket import Bucket
from mainspring.adapters.cache import FileCache
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, MainspringError, NotFound
from mainspring.kernel.ids import digest
from mainspring.log.ports import Disk, PartRef

log = logging.getLogger("mainspring.tables")

SWEEP_AFTER_S = 3_600.0  # another control may be about to list what it has just written


class S3Tables(ParquetTables):
    """A ``Tables`` whose parts outlive this machine."""

    def __init__(
        self, bucket: Bucket, root: Path, disk: Disk, cache: FileCache, *, sweep_after_s: float = SWEEP_AFTER_S
    ) -> None:
        super().__init__(root, disk)
        self._bucket = bucket
        self._files = cache
        self._sweep_after_s = sweep_after_s
        self._verified: set[str] = set()

    def write(self, table: str, frame: pl.DataFrame) -> PartRef:
        part = super().write(table, frame)
        self._bucket.put(self._key(self._path(part)), self._path(part))
        reached("tables.after_upload")
        self._files.make_room()
        return part

    def adopt(self, part: PartRef) -> None:
        """Upload a part that lies in the folder, verified."""
        ParquetTables._bytes(self, part)
        self._bucket.put(self._key(self._path(part)), self._path(part))

    def paths(self, parts: Sequence[PartRef]) -> list[Path]:
        """Return local files with the parts' bytes, fetched and verified first where they are not here."""
        for part in parts:
            if part.id not in self._verified or self._disk.size(self._path(part)) != part.bytes:
                self._bytes(part)
            self._files.used(self._path(part))
        return super().paths(parts)

    def sweep(self, keep: Iterable[str]) -> int:
        kept = {*keep, *self._written}
        swept = super().sweep(kept)
        gone = [
            stored.key
            for stored in self._bucket.list("parts")
            if Path(stored.key).stem not in kept and stored.age_s >= self._sweep_after_s
        ]
        self._bucket.remove(gone)
        return max(swept, len(gone))

    def _remove(self, path: Path) -> None:
        super()._remove(path)
        try:
            self._bucket.remove([self._key(path)])
        except MainspringError as error:  # it is listed no more: the next start sweeps it
            log.warning("a merged part stays in the bucket for now: %s", error)

    def _bytes(self, part: PartRef) -> bytes:
        try:
            data = self._disk.read(self._path(part))
            if digest(data) == part.digest:
                self._files.used(self._path(part))
                self._verified.add(part.id)
                return data
        except NotFound:
            pass
        self._fetch(part)
        self._verified.add(part.id)
        return self._disk.read(self._path(part))

    def _fetch(self, part: PartRef) -> None:
        path = self._path(part)
        try:
            self._files.fill(path, lambda to: self._bucket.fetch(self._key(path), to, part.digest))
        except NotFound:
            raise Damaged("a listed part is gone", field=part.table, value=part.id, remedy="restore a backup") from None

    def _key(self, path: Path) -> str:
        return f"parts/{path.parent.name}/{path.name}"
