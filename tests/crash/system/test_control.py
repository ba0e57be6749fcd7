"""Control killed while predictions, outcomes and rows flow: answers go on, and nothing is lost or doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring.edges.processes import Process


@pytest.mark.parametrize("policy", ["durable", "batched"])
def test_control_killed_at_random_moments_loses_and_doubles_nothing(
    new_site: Callable[..., Any], check: Callable[..., None], kill_process: Callable[[Process], None],
    moments: Callable[[int, int], int], policy: str,
) -> None:  # fmt: skip
    site = new_site(f'acknowledgement = "{policy}"\n')
    dice = random.Random(3)
    site.client(pause_s=0.008), site.client(pause_s=0.008)
    times = moments(1, 200)
    for number in range(times):
        time.sleep(dice.uniform(0.05, 0.4))
        kill_process(site.up.control)
        before = len(site.told.answers)
        site.answers_more()
        assert len(site.told.answers) > before
        site.restarted(site.up.control, site.control_answers, at_once=number >= 2)
    assert site.up.control.restarts == min(2, times)
    site.stop()
    assert not site.told.refused
    check(site.home, site.told)


GROUPS = {
    "taking in": ("ingest.after_parts:3", "ingest.before_commit:3", "ingest.after_commit:3", "ingest.after_remove:3"),
    "parts": ("tables.after_write:4", "disk.after_rename:4", "merge.before_commit", "merge.after_commit"),
    "features": ("latest.before_commit:2", "features.before_mark:2", "features.before_commit", "publish.before_write"),
}


@pytest.mark.parametrize("points", GROUPS.values(), ids=list(GROUPS))
def test_control_killed_at_named_moments_loses_and_doubles_nothing(
    site: Any, stock: Path, check: Callable[..., None], points: tuple[str, ...]
) -> None:
    site.client(pause_s=0.01)
    for number, point in enumerate(points):
        stock.write_text("item,at,left\n" + "".join(f"i{n},2026-01-01T00:00Z,5\n" for n in range(number + 1)))
        before = len(site.told.answers)
        site.crash_control_at(point)
        assert len(site.told.answers) > before
    site.wait(site.control_answers)
    site.wait(lambda: len(site.verb("source rows", source="stock")) == len(points))
    site.stop()
    assert not site.told.refused
    check(site.home, site.told)
