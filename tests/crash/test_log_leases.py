"""A worker that was given paths reads its files to the end, however many merges happen meanwhile."""

import subprocess
import sys

from mainspring.log.parts import MERGED_AT_ONCE
from mainspring.log.records import SourceRows
from mainspring.testing.logs import LogBench

WORKER = """
import sys
import polars as pl

sys.stdin.readline()
print(sum(pl.read_parquet(path).height for path in sys.argv[1:]), flush=True)
"""


def push(bench: LogBench, number: int) -> None:
    body = b'[{"k":"a%d","at":"2026-01-01T00:00:00Z","x":1.0}]' % number
    bench.write(SourceRows("prj_1", "src_1", number, body))
    bench.ingest.run()


def test_merges_take_no_file_from_a_worker_that_reads_it(tmp_path):
    bench = LogBench(tmp_path)
    for number in range(MERGED_AT_ONCE - 1):
        push(bench, number)
    with bench.log.reading():
        paths = bench.log.source_parts("src_1")
        command = [sys.executable, "-c", WORKER, *map(str, paths)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(3):
            push(bench, 100 + number)
        assert len(bench.log.source_parts("src_1")) < len(paths)
        assert bench.tables.retired >= len(paths)
        assert worker.communicate("go\n")[0].strip() == str(MERGED_AT_ONCE - 1)
    assert bench.tables.retired == 0
    assert not any(path.exists() for path in paths)
    bench.close()
