"""A home's services, built on real files and processes in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.jobs.local import LocalJobs
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.sources import readers
from mainspring.adapters.stores.migrate import migrate
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.features.service import FeatureService
from mainspring.kernel.clock import SimulatedClock
from mainspring.log.queries import PredictionLog
from mainspring.project.service import ProjectService
from mainspring.registry.service import Registry
from mainspring.release.service import ReleaseService
from mainspring.training.ports import Folders

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Place:
    """The services that a project needs."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        disk = LocalDisk()
        self.clock = SimulatedClock.create(root / "clock", NOW)
        self.store = SqliteStore(root / "meta.db", self.clock)
        migrate(self.store)
        self.blobs = FileBlobs(root / "blobs", disk)
        self.folders = Folders(str(root / "blobs"), str(root / "environments"))
        self.jobs = LocalJobs(root / "staging", threads=1)
        self.log = PredictionLog(store=self.store, tables=ParquetTables(root / "parts", disk))
        self.latest = LmdbLatest(root / "latest")
        self.registry = Registry(store=self.store, blobs=self.blobs, clock=self.clock)
        self.features = FeatureService(
            store=self.store, log=self.log, latest=self.latest, readers=readers(), clock=self.clock
        )
        self.releases = ReleaseService(store=self.store, registry=self.registry, log=self.log, clock=self.clock)
        self.projects = ProjectService(
            store=self.store,
            registry=self.registry,
            features=self.features,
            blobs=self.blobs,
            jobs=self.jobs,
            clock=self.clock,
            forecast=self.releases.forecast,
            check_approval=self.releases.check_approval,
        )

    def close(self) -> None:
        self.jobs.stop()
        self.latest.close()
        self.store.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "home")
    yield made
    made.close()


TRIPS = """
    import mainspring as ms

    trips = ms.Source("trips", "data/trips.csv", time="start", known_at="end", key="trip")
    by_place = ms.FeatureView("by_place", source=trips, key="place", features=[ms.share("minutes > 30", over="3h")])
    slow = ms.Model(
        "slow", entity="trip", keys="place", inputs=["price"], predict_at="start", features=[by_place],
        outcome=ms.Outcome("minutes > 30", source=trips, matures_after="36h", affected_by_answer=False),
        task="binary", release=ms.Canary(shadow="14d", steps=[0.5], metric="log_loss", margin=0.05),
    )

    @slow.rule
    def always(frame, params):
        return 0.2 + 0 * frame["price"]
"""


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    """Return a small project: 2,000 trips in ten days."""
    folder = tmp_path / "trips"
    (folder / "data").mkdir(parents=True)
    (folder / "project.py").write_text(dedent(TRIPS))
    lines = ["trip,place,price,start,end,minutes"]
    for number in range(2_000):
        day, minute = 1 + number // 200, (number % 200) * 7
        start = datetime(2026, 2, day, minute // 60, minute % 60, tzinfo=UTC)
        lines.append(
            f"t{number},{'ab'[number % 2]},{number % 9}.5,{start.isoformat()},2026-02-20T00:00:00Z,{number % 50}"
        )
    (folder / "data" / "trips.csv").write_text("\n".join(lines) + "\n")
    return folder
