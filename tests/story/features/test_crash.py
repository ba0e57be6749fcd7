"""Control dies between storing rows and feeding them to the views; what it left undone is made good."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.keys import encode_key
from mainspring.features.spec import CsvReader, Feature, SourceSpec, ViewSpec
from mainspring.kernel.schema import Column

NOON_US = 1_367_582_400_000_000
COLUMNS = (Column("id", "int"), Column("shop", "str"), Column("at", "time"))
VIEW = ViewSpec("recent", "sales", ("shop",), (Feature("n", "count", over_us=3_600_000_000),))
CONTROL = """
import sys
from pathlib import Path
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.sources import readers
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.features.service import FeatureService
from mainspring.kernel.clock import SimulatedClock
from mainspring.log.queries import PredictionLog

root, now_us = Path(sys.argv[1]), int(sys.argv[2])
clock = SimulatedClock(root / "clock")
store = SqliteStore(root / "meta.db", clock)
log = PredictionLog(store, ParquetTables(root / "parts", LocalDisk()))
features = FeatureService(store=store, log=log, latest=LmdbLatest(root / "latest"), readers=readers(), clock=clock)
features.catch_up()
features.feed(features.ingest("prj_1", now_us))
"""


def control(root: Path, now_us: int, crash_at: str = "") -> int:
    environment = os.environ | {"MAINSPRING_CRASH_AT": crash_at}
    done = subprocess.run(
        [sys.executable, "-c", CONTROL, str(root), str(now_us)],
        check=False,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize("moment", ["features.before_commit", "latest.before_commit", "features.before_mark"])
def test_after_a_kill_at_any_moment_nothing_is_lost_or_doubled(bench, moment):
    rows = pl.DataFrame(
        {
            "id": list(range(100)),
            "shop": [f"s{n % 3}" for n in range(100)],
            "at": [f"2013-05-03T{10 + n // 30}:{n % 30 * 2:02}Z" for n in range(100)],
        }
    )
    rows.write_csv(bench.root / "sales.csv")
    path = str(bench.root / "sales.csv")
    spec = SourceSpec("sales", CsvReader(path), time="at", key=("id",), known_after_us=0, columns=COLUMNS)
    digest = bench.declare(spec, VIEW)["recent"]
    bench.latest.close()
    assert control(bench.root, NOON_US - 3_600_000_000) == 0
    assert control(bench.root, NOON_US, moment) == -signal.SIGKILL
    assert control(bench.root, NOON_US) == 0
    bench.open()
    assert bench.log.source("src_sales")["id"].sort().to_list() == list(range(61))
    asked = pl.DataFrame({"shop": ["s0", "s1", "s2"], "at": [NOON_US] * 3})
    offline = as_of_join(asked, "at", [BoundView(VIEW, spec, rows)])["recent.n"].to_list()
    online = bench.latest.get(digest, [encode_key([shop]) for shop in asked["shop"]], NOON_US)
    assert [row.values[0] for row in online] == offline
    assert sum(offline) > 20
