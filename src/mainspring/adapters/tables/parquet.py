"""Tables as Parquet files, with a bounded memory of the columns that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path

import polars as pl

from mainspring.adapters.disk import TEMPORARY
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, NotFound
from mainspring.kernel.ids import digest, new_id
from mainspring.log.leases import Leases
from mainspring.log.ports import Disk, PartRef
from mainspring.log.rows import SCHEMAS

CACHE_BYTES = 160 * 1_024 * 1_024


class ParquetTables:
    """The embedded ``Tables``: ``<table>/<part id>.parquet`` with zstd, read whole and verified by digest."""

    def __init__(self, root: Path, disk: Disk, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._root = root
        self._disk = disk
        self._cache = ColumnCache(cache_bytes)
        self._leases: Leases[Path] = Leases(self._remove)
        self._written: set[str] = set()

    def write(self, table: str, frame: pl.DataFrame) -> PartRef:
        id = new_id("part")
        buffer = BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
        data = buffer.getvalue()
        part = PartRef(id, table, digest(data), frame.height, len(data))
        self._written.add(id)
        path = self._path(part)
        self._disk.make(path.parent)
        self._disk.write(path, data)
        reached("tables.after_write")
        self._cache.put(id, frame)
        return part

    def scan(self, parts: Sequence[PartRef], columns: Sequence[str] | None = None) -> pl.LazyFrame:
        frames = [self._frame(part, columns) for part in parts]
        if len(frames) == 1:
            return frames[0].lazy()
        return pl.concat(frames, how="vertical" if columns is not None else "diagonal_relaxed", rechunk=False).lazy()

    def paths(self, parts: Sequence[PartRef]) -> list[Path]:
        return [self._path(part) for part in parts]

    def drop(self, parts: Sequence[PartRef]) -> None:
        for part in parts:
            self._cache.forget(part.id)
        self._leases.retire([self._path(part) for part in parts])

    def reading(self) -> AbstractContextManager[None]:
        return self._leases.held()

    @property
    def retired(self) -> int:
        return self._leases.waiting

    def sweep(self, keep: Iterable[str]) -> int:
        kept = {*keep, *self._written}
        swept = 0
        for table in self._disk.list(self._root):
            for name in self._disk.list(self._root / table):
                if name.startswith(TEMPORARY) or name.removesuffix(".parquet") not in kept:
                    self._disk.remove(self._root / table / name)
                    swept += 1
        return swept

    @property
    def cached_bytes(self) -> int:
        """Return how much memory the columns of parts take."""
        return self._cache.bytes

    def _remove(self, path: Path) -> None:
        self._disk.remove(path)

    def _path(self, part: PartRef) -> Path:
        return self._root / part.table.replace(":", "-") / f"{part.id}.parquet"

    def _frame(self, part: PartRef, columns: Sequence[str] | None) -> pl.DataFrame:
        found = self._cache.get(part.id, columns)
        if found is None:
            found = _read(self._bytes(part), part.table, columns)
            self._cache.put(part.id, found, whole=columns is None)
        return found

    def _bytes(self, part: PartRef) -> bytes:
        try:
            data = self._disk.read(self._path(part))
        except NotFound:
            raise Damaged("a listed part is gone", field=part.table, value=part.id, remedy="restore a backup") from None
        if digest(data) != part.digest:
            raise Damaged("a part is not what was written", field=part.table, value=part.id, remedy="restore a backup")
        return data


def _read(data: bytes, table: str, columns: Sequence[str] | None) -> pl.DataFrame:
    """Return columns of a part; those that the log had not yet when it was written are empty."""
    if columns is None:
        return pl.read_parquet(BytesIO(data))
    try:
        return pl.read_parquet(BytesIO(data), columns=list(columns))
    except pl.exceptions.ColumnNotFoundError:
        later = SCHEMAS.get(table, {})
        there = pl.read_parquet_schema(BytesIO(data))
        if not {*columns} <= {*there, *later}:
            raise
        found = pl.read_parquet(BytesIO(data), columns=[name for name in columns if name in there])
        return found.with_columns(
            pl.lit(None, later[name]).alias(name) for name in columns if name not in there
        ).select(columns)


class ColumnCache:
    """Columns of parts, the least recently used part given up first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.bytes = 0
        self._turn = threading.Lock()
        self._parts: OrderedDict[str, tuple[dict[str, pl.Series], bool, int]] = OrderedDict()

    def get(self, part: str, columns: Sequence[str] | None) -> pl.DataFrame | None:
        """Return the columns (all, if none are named), or None unless every one is here."""
        with self._turn:
            held, whole, _ = self._parts.get(part, ({}, False, 0))
            if held:
                self._parts.move_to_end(part)
            if columns is None:
                return pl.DataFrame(list(held.values())) if whole else None
            if held and all(column in held for column in columns):
                return pl.DataFrame([held[column] for column in columns])
        return None

    def put(self, part: str, frame: pl.DataFrame, *, whole: bool = True) -> None:
        """Hold the frame's columns beside those of this part that are here already."""
        with self._turn:
            held, was_whole, held_bytes = self._parts.pop(part, ({}, False, 0))
            self.bytes -= held_bytes
            fresh = {column.name: column for column in frame if column.name not in held}
            size = held_bytes + sum(int(column.estimated_size()) for column in fresh.values())
            if size > self._limit_bytes // 4:
                return
            self.bytes += size
            self._parts[part] = ({**held, **fresh}, was_whole or whole, size)
            while self.bytes > self._limit_bytes:
                _, (_, _, freed) = self._parts.popitem(last=False)
                self.bytes -= freed

    def forget(self, part: str) -> None:
        """Give up a part's columns."""
        with self._turn:
            _, _, size = self._parts.pop(part, ({}, False, 0))
            self.bytes -= size
