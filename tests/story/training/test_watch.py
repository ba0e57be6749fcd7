"""Alarms ring even while records cannot be taken in."""

from __future__ import annotations

import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from mainspring.kernel.errors import Damaged

from .conftest import PROJECT, open_shop, write_project

WATCHED = PROJECT.replace("release=ms.Immediate(),", "release=ms.Immediate(), monitors=[ms.Health(lag_s=0.001)],")


def write_newer_segment(spool: Path) -> None:
    """Write what a gateway of a newer version would: this one cannot read it and must not skip it."""
    body = struct.pack("<BH", 99, 0)
    (spool / "b_newer").mkdir()
    (spool / "b_newer" / "000001.seg").write_bytes(struct.pack("<II", len(body), zlib.crc32(body)) + body)


def test_records_that_cannot_be_taken_in_raise_an_alarm_and_nothing_else_happens(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    (project / "project.py").write_text(WATCHED)
    shop = open_shop(tmp_path / "home", project)
    with closing(shop.platform) as platform:
        run = platform.training.train(shop.model.id, "rule", by="ann")
        shop.champion(run.version or "")
        assert platform.loop.step().actions[-1].startswith("EvaluateMonitors")
        assert platform.monitoring.alarms() == []

        write_newer_segment(platform.home.spool)
        shop.clock.advance(shop.clock.now().replace(hour=12))
        for _ in range(2):
            with pytest.raises(Damaged, match="was written by a newer version"):
                platform.loop.step()
            shop.clock.advance(shop.clock.now().replace(hour=18))
        assert [alarm.subject for alarm in platform.monitoring.alarms()] == ["ingestion"]
