"""Publishing under ``kill -9``: the Delta tables are the log, each row once, after the next run at the latest."""

import os
import signal
import subprocess
import sys

import pytest
from deltalake import DeltaTable

from mainspring.testing.logs import LogBench, assignment, request, scored

PUBLISHER = """
import sys
from pathlib import Path
from mainspring.adapters.tables.delta import DeltaPublication
from mainspring.kernel.clock import SystemClock
from mainspring.testing.logs import LogBench

bench = LogBench(Path(sys.argv[1]))
bench.ingest.run()
root = Path(sys.argv[1]) / "delta"
DeltaPublication(root, store=bench.store, tables=bench.tables, disk=bench.disk, clock=SystemClock()).publish()
"""
POINTS = ["delta.after_copy", "delta.after_copy:2", "disk.before_rename:2", "disk.after_rename:2", "delta.after_commit",
          "delta.after_commit:3", "delta.after_save", "disk.after_rename:6"]  # fmt: skip


def run(home, point=""):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": point}
    return subprocess.run([sys.executable, "-c", PUBLISHER, str(home)], env=armed, check=False).returncode


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_moment_no_row_is_lost_or_doubled(tmp_path, point):
    for first in (1, 11):
        bench = LogBench(tmp_path)
        for number in range(first, first + 10):
            bench.write(request(number), assignment(number), scored(number))
        bench.ingest.run()
        bench.close()
        assert run(tmp_path, point) == -signal.SIGKILL
    assert run(tmp_path) == 0
    for table in ("requests", "assignments", "scored"):
        ids = DeltaTable(str(tmp_path / "delta" / table)).to_pyarrow_table()["prediction_id"].to_pylist()
        assert sorted(ids) == sorted(f"b_1-{number:x}" for number in range(1, 21))
