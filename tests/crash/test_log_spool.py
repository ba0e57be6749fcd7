"""A gateway's writer under ``kill -9``: what was acknowledged as durable is read, whole and once."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from mainspring.testing.logs import LogBench

WRITER = """
import asyncio, sys
from pathlib import Path
from mainspring.adapters.disk import LocalDisk
from mainspring.log.spool import SpoolWriter
from mainspring.testing.logs import request

async def main():
    writer = SpoolWriter(Path(sys.argv[1]), "b_1", LocalDisk(), "durable", rotate_bytes=2_000)
    for number in range(1, 100_000):
        writer.append(request(number))
        await writer.durable()
        print(number, flush=True)

asyncio.run(main())
"""


def ingested(tmp_path):
    bench = LogBench(tmp_path)
    bench.ingest.run()
    ids = [int(name.removeprefix("b_1-"), 16) for name in bench.log.requests("mod_1")["prediction_id"]]
    left = bench.disk.list(bench.spool)
    bench.close()
    return ids, left


@pytest.mark.parametrize(
    "point", ["spool.before_write:40", "spool.after_write:40", "spool.after_sync:40", "spool.rotated:2"]
)
def test_killed_at_a_named_moment_no_acknowledged_record_is_lost(tmp_path, point):
    armed = {**os.environ, "MAINSPRING_CRASH_AT": point}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "spool")]
    ended = subprocess.run(command, env=armed, capture_output=True, check=False, text=True)
    assert ended.returncode == -signal.SIGKILL
    acknowledged = [int(line) for line in ended.stdout.split()]
    ids, left = ingested(tmp_path)
    assert len(acknowledged) > 10
    assert ids[: len(acknowledged)] == acknowledged
    assert len(ids) <= len(acknowledged) + 1  # the one that was on its way
    assert left == []


@pytest.mark.parametrize("seed", range(200 if os.environ.get("MAINSPRING_CRASH") == "long" else 3))
def test_killed_at_any_moment_no_acknowledged_record_is_lost(tmp_path, seed):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "spool")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.01, 0.2))
    process.kill()
    rest = process.communicate()[0]
    acknowledged = [int(line) for line in (first + rest).split("\n")[:-1]]
    ids, left = ingested(tmp_path)
    assert ids[: len(acknowledged)] == acknowledged
    assert len(ids) <= len(acknowledged) + 1
    assert left == []
