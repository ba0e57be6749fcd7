from pathlib import Path

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.tables.parquet import ParquetTables
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
