"""Letting rows go under ``kill -9``: it is done or it is not, and a second run does what is left."""

import os
import signal
import subprocess
import sys

import pytest

from mainspring.ledger.queries import entries
from mainspring.testing.logs import LogBench, assignment, request, scored

RETAINER = """
import sys
from pathlib import Path
from mainspring.log.retention import Keep, Retention
from mainspring.testing.logs import LogBench

bench = LogBench(Path(sys.argv[1]))
bench.ingest.run()
Retention(bench.store, bench.tables).run({"mod_1": Keep(since_us=250)}, 1_000)
"""
POINTS = ["rewrite.after_write:2", "rewrite.before_commit", "store.before_commit", "store.after_commit",
          "retain.after_commit"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_moment_it_ends_as_it_should_after_a_second_run(tmp_path, point):
    bench = LogBench(tmp_path)
    for number in range(1, 51):  # decided at ten times their numbers
        bench.write(request(number), assignment(number), scored(number))
    bench.ingest.run()
    bench.close()
    command = [sys.executable, "-c", RETAINER, str(tmp_path)]
    armed = {**os.environ, "MAINSPRING_CRASH_AT": point}
    assert subprocess.run(command, env=armed, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    bench = LogBench(tmp_path)
    bench.ingest.run()
    assert bench.log.requests("mod_1")["decision_us"].to_list() == [number * 10 for number in range(25, 51)]
    assert bench.log.counts("mod_1")["predictions"] == bench.log.counts("mod_1")["served"] == 26
    assert len(list((tmp_path / "parts").glob("*/*.parquet"))) == 3
    with bench.store.read() as connection:
        assert len(entries(connection, kind="log.retained")) == 1
    bench.close()
