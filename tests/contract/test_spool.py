from pathlib import Path

import pytest

from mainspring.adapters.disk import LocalDisk
from mainspring.testing.contracts.spool import SpoolContract
from mainspring.testing.disk import FaultyDisk


class TestSpoolOnTheLocalDisk(SpoolContract):
    @pytest.fixture
    def disk(self) -> LocalDisk:
        return LocalDisk()

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        return tmp_path / "spool"


class TestSpoolOnTheFaultyDisk(SpoolContract):
    @pytest.fixture
    def disk(self) -> FaultyDisk:
        return FaultyDisk(LocalDisk())

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        return tmp_path / "spool"
