from pathlib import Path

import polars as pl
import pytest

from mainspring.adapters.bucket import Bucket
from mainspring.adapters.cache import FileCache
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.adapters.tables.s3 import S3Tables
from mainspring.log.ports import PartRef
from mainspring.testing.contracts.tables import FRAME, TablesContract


class TestParquetTables(TablesContract):
    @pytest.fixture
    def tables(self, tmp_path: Path) -> ParquetTables:
        self.root = tmp_path / "parts"
        return ParquetTables(self.root, LocalDisk())

    def reopened(self, tables: ParquetTables) -> ParquetTables:
        return ParquetTables(self.root, LocalDisk())

    def test_memory_stays_within_its_bound(self, tmp_path: Path) -> None:
        tables = ParquetTables(tmp_path, LocalDisk(), cache_bytes=20_000)
        parts = [tables.write("scored", FRAME) for _ in range(200)]
        assert tables.scan(parts, ["a"]).collect().height == 600
        assert tables.cached_bytes <= 20_000


class TestS3Tables(TablesContract):
    @pytest.fixture
    def tables(self, s3_server, monkeypatch, tmp_path: Path) -> S3Tables:
        for name, value in s3_server.keys.items():
            monkeypatch.setenv(name, value)
        self.bucket = Bucket(s3_server.fresh(), endpoint=s3_server.endpoint)
        self.root = tmp_path / "parts"
        return self.opened(self.root)

    def opened(self, root: Path, limit_bytes: int = 10**9) -> S3Tables:
        return S3Tables(self.bucket, root, LocalDisk(), FileCache(root, limit_bytes, in_use_s=-10), sweep_after_s=-10)

    def reopened(self, tables: S3Tables) -> S3Tables:
        return self.opened(self.root)

    def change(self, tables: S3Tables, part: PartRef) -> None:
        (path,) = tables.paths([part])
        super().change(tables, part)
        self.lose(tables, part, keep=path.read_bytes())

    def lose(self, tables: S3Tables, part: PartRef, keep: bytes | None = None) -> None:
        (path,) = tables.paths([part])
        key = f"parts/{part.table}/{part.id}.parquet"
        self.bucket.remove([key])
        path.unlink()
        if keep is not None:
            path.write_bytes(keep)
            self.bucket.put(key, path)
            path.unlink()

    def test_rows_are_there_for_another_machine_and_its_workers(self, tables: S3Tables, tmp_path: Path) -> None:
        part = tables.write("scored", FRAME)
        other = self.opened(tmp_path / "other")
        assert other.scan([part], ["a"]).collect()["a"].to_list() == [1, 2, None]
        (path,) = self.opened(tmp_path / "third").paths([part])
        assert path.is_relative_to(tmp_path / "third")
        assert pl.read_parquet(path).equals(FRAME)

    def test_a_local_file_that_was_changed_is_fetched_anew_for_a_worker(self, tables: S3Tables) -> None:
        part = tables.write("scored", FRAME)
        super().change(tables, part)
        (path,) = self.reopened(tables).paths([part])
        assert pl.read_parquet(path).equals(FRAME)

    def test_the_local_files_stay_within_their_bound_and_come_back(self, tables: S3Tables) -> None:
        parts = [tables.write("scored", FRAME) for _ in range(5)]
        small = self.opened(self.root, limit_bytes=2 * parts[0].bytes)
        small.write("scored", FRAME)
        assert len(list(self.root.glob("*/*"))) == 2
        assert small.scan(parts).collect().height == 15

    def test_a_dropped_part_leaves_the_bucket(self, tables: S3Tables) -> None:
        kept, dropped = tables.write("scored", FRAME), tables.write("scored", FRAME)
        tables.drop([dropped])
        assert [stored.key for stored in self.bucket.list("parts")] == [f"parts/scored/{kept.id}.parquet"]

    def test_a_sweep_spares_what_is_young_and_what_is_not_a_part(self, tables: S3Tables, tmp_path: Path) -> None:
        part = tables.write("scored", FRAME)
        self.bucket.put("blobs/aa/aaaa", tables.paths([part])[0])
        careful = S3Tables(self.bucket, tmp_path / "other", LocalDisk(), FileCache(tmp_path / "other", 10**9))
        assert careful.sweep([]) == 0
        assert self.reopened(tables).sweep([]) == 1
        assert [stored.key for stored in self.bucket.list("blobs")] == ["blobs/aa/aaaa"]
