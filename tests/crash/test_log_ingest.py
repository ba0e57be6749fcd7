"""The consumer of the spool under ``kill -9``: no row is lost and none is doubled."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from mainspring.testing.logs import LogBench, assignment, outcome, request, scored

ROWS = 40
INGESTER = """
import sys
from pathlib import Path
from mainspring.testing.logs import LogBench

bench = LogBench(Path(sys.argv[1]))
ingest = bench.new_ingest(most_records=6)
print("started", flush=True)
while not ingest.run().caught_up:
    pass
ingest.run()
"""
POINTS = [
    "disk.before_rename:3",
    "disk.after_rename:3",
    "tables.after_write:2",
    "ingest.after_parts:2",
    "ingest.before_commit:2",
    "ingest.after_commit:2",
    "ingest.after_remove:9",
    "merge.after_write",
    "merge.before_commit",
    "merge.after_commit",
]


@pytest.fixture
def home(tmp_path):
    bench = LogBench(tmp_path)
    for number in range(1, ROWS + 1):
        records = request(number), assignment(number), scored(number), outcome(f"e{number}", 1.0, number)
        bench.write(*records, boot=f"b_{number % 3}")
    bench.close()
    return tmp_path


def run_until_killed(home, point):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": point}
    return subprocess.run([sys.executable, "-c", INGESTER, str(home)], env=armed, capture_output=True, check=False)


def everything_is_there_once(home):
    bench = LogBench(home)
    while not bench.ingest.run().caught_up:
        pass
    bench.ingest.run()
    expected = sorted(f"b_1-{number:x}" for number in range(1, ROWS + 1))
    for frame in (bench.log.requests("mod_1"), bench.log.assignments("mod_1"), bench.log.scored("mod_1")):
        assert sorted(frame["prediction_id"]) == expected
    assert sorted(bench.log.outcomes("mod_1")["entity"]) == sorted(f"e{number}" for number in range(1, ROWS + 1))
    counts = bench.log.counts("mod_1")
    assert (counts["predictions"], counts["served"], counts["outcomes"]) == (ROWS, ROWS, ROWS)
    left = bench.disk.list(bench.spool)
    bench.close()
    assert left == []


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_moment_every_row_is_there_once(home, point):
    assert run_until_killed(home, point).returncode == -signal.SIGKILL
    everything_is_there_once(home)


def test_killed_at_any_moment_again_and_again_every_row_is_there_once(home, moments):
    chance = random.Random(5)
    for _ in range(moments(5, 200)):
        process = subprocess.Popen(
            [sys.executable, "-c", INGESTER, str(home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.12))
        process.kill()
        process.communicate()
    everything_is_there_once(home)
