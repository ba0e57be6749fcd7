"""A file system of two megabytes that fills up for real: the spool's, and that of parts. Needs root, to mount it."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROW = {"order_id": "full", "shop": "north", "amount": 1.0}


@pytest.fixture
def small(place: Path) -> Iterator[Callable[[str], Path]]:
    """Return what lays a file system of two megabytes over a folder of the home, with what stands there."""
    mounted: list[Path] = []

    def lay(name: str) -> Path:
        folder = place / "home" / name
        folder.mkdir(exist_ok=True)
        kept = place / f"{name}-before"
        folder.rename(kept)
        folder.mkdir(mode=0o700)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.decode().strip() or 'not as this user'}")
        mounted.append(folder)
        subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)
        return folder

    yield lay
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Take every byte that is left."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 512, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    assert os.statvfs(folder).f_bavail == 0
    try:
        yield
    finally:
        ballast.unlink()


def metric(site: Any, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0] == name)


@pytest.mark.parametrize("policy", ["durable", "batched"])
def test_a_spool_without_space_refuses_is_told_of_and_goes_on_by_itself(
    small: Callable[[str], Path], new_site: Callable[..., Any], new_client: Any, check: Callable[..., None], policy: str
) -> None:
    spool = small("spool")
    site = new_site(f'acknowledgement = "{policy}"\n')
    client = site.client(pause_s=0.02)
    site.answers_more(20)
    with filled(spool):
        site.wait(lambda: ("predict", 503, "unavailable") in site.told.refused)
        site.wait(lambda: metric(site, "mainspring_spool_failing_seconds") > 0)
        assert metric(site, "mainspring_ready") == 0
        assert not site.ready()
    site.wait(site.ready)
    assert metric(site, "mainspring_spool_failing_seconds") == 0
    site.answers_more(20)
    client.stop()
    site.stop()
    assert {(status, code) for _, status, code in site.told.refused} == {(503, "unavailable")}
    check(site.home, site.told)


def test_parts_without_space_hold_up_no_answer_and_are_made_once_there_is_some(
    small: Callable[[str], Path], new_site: Callable[..., Any], check: Callable[..., None]
) -> None:
    parts = small("parts")
    site = new_site()
    site.client(pause_s=0.02)
    site.answers_more(20)
    with filled(parts):
        listed = {path.name for path in parts.glob("*/*.parquet")}
        site.answers_more(100)
        site.wait(lambda: "full" in site.logs() or "space" in site.logs())  # it is said, and not only counted
        assert site.up.control.exit_code is None
        assert site.ready()
        assert {path.name for path in parts.glob("*/*.parquet")} <= listed
    site.answers_more(20)
    site.verb("loop ingest")
    site.stop()
    assert site.up.control.restarts == 0
    assert not site.told.refused
    check(site.home, site.told)
