"""Whoever is killed while a version that was made elsewhere is taken in leaves none, or the whole one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.adapters.home import create_home
from mainspring.testing.models import linear_onnx


@pytest.mark.parametrize("moment", ["intake.after_blobs", "intake.before_commit"])
def test_a_registration_that_is_killed_leaves_no_version_and_may_be_asked_again(tmp_path: Path, moment: str) -> None:
    home = create_home(tmp_path / "home").root
    (tmp_path / "late.onnx").write_bytes(linear_onnx({"distance": 0.002}, bias=-1.0))
    cli = [sys.executable, "-m", "mainspring.edges.cli"]
    words = [*cli, "register", "late", str(tmp_path / "late.onnx"), "--new", "--home", str(home)]
    armed = {"MAINSPRING_CRASH_AT": moment, "MAINSPRING_CRASH_RECORD": os.environ["MAINSPRING_CRASH_RECORD"]}
    killed = subprocess.run(words, env=armed, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL

    def versions() -> list[int]:
        said = subprocess.run(
            [*cli, "versions", "late", "--json", "--home", str(home)], capture_output=True, check=True
        )
        return [one["number"] for one in json.loads(said.stdout)]

    assert versions() == []
    subprocess.run(words, capture_output=True, check=True)
    assert versions() == [1]
