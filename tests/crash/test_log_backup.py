"""Backup and restore under ``kill -9``: a whole backup or none, a whole home or none."""

import os
import signal
import subprocess
import sys

import pytest

from mainspring.adapters.backup import backup, restore
from mainspring.adapters.home import create_home
from mainspring.kernel.errors import NotFound
from mainspring.testing.logs import LogBench, request

BACKUP = """
import sys
from pathlib import Path
from mainspring.adapters.backup import backup
from mainspring.testing.logs import LogBench

home = Path(sys.argv[1])
backup(home, Path(sys.argv[2]), LogBench(home).store)
"""
RESTORE = """
import sys
from pathlib import Path
from mainspring.adapters.backup import restore

restore(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture
def home(tmp_path):
    home = create_home(tmp_path / "home")
    bench = LogBench(home.root)
    bench.write(request(1))
    bench.ingest.run()
    bench.close()
    return home.root


def killed_at(point, script, *paths):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": point}
    run = subprocess.run([sys.executable, "-c", script, *map(str, paths)], env=armed, capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL


def test_a_backup_that_was_killed_is_none(home, tmp_path):
    killed_at("backup.before_manifest", BACKUP, home, tmp_path / "backup")
    with pytest.raises(NotFound, match="no whole backup"):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_restore_that_was_killed_can_be_run_again(home, tmp_path):
    bench = LogBench(home)
    backup(home, tmp_path / "backup", bench.store)
    bench.close()
    killed_at("restore.before_rename", RESTORE, tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    restore(tmp_path / "backup", tmp_path / "other")
    again = LogBench(tmp_path / "other")
    assert again.log.requests("mod_1").height == 1
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "home", "other"]
