"""A model that is asked and answered day by day, with a log, a registry and a clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import insert

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.features.spec import Feature, PushReader, SourceSpec, ViewSpec
from mainspring.features.tables import sources, views
from mainspring.kernel.clock import SimulatedClock, from_us
from mainspring.kernel.metadata import metadata
from mainspring.kernel.schema import Column, Signature
from mainspring.log.ingest import Ingest
from mainspring.log.queries import PredictionLog
from mainspring.log.records import Outcomes, Request, Scored
from mainspring.log.spool import SpoolWriter
from mainspring.monitoring.ports import Notice
from mainspring.monitoring.service import MonitoringService
from mainspring.monitoring.spec import Drift, Health, Monitor, Quality, Silence
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt
from mainspring.registry.service import Registry
from mainspring.registry.tables import models, projects
from mainspring.registry.version import Environment, Version

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
ROWS = 240
START = datetime(2013, 3, 1, tzinfo=UTC)
MONITORS: tuple[Monitor, ...] = (
    Drift(budget="1 per 30d", window="3h", reference="8d", season=None, rows_at_least=20),
    Quality(reference="5d"),
    Health(),
    Silence(),
)
SPEC = ModelSpec(
    name="late",
    task="binary",
    entity="flight",
    source="flights",
    predict_at=PredictAt("at"),
    outcome=OutcomeSpec("late", "flights", 12 * HOUR_US, affected_by_answer=False),
    recipes=(),
    inputs=("dest", "distance"),
    columns=(Column("flight", "str"), Column("dest", "str"), Column("distance", "float"), Column("at", "time")),
)
VIEW = ViewSpec("weather", "src_1", ("dest",), (Feature("temp", "last", "temp"), Feature("wind", "last", "wind")))


class Postbox:
    """A notifier that keeps what it is given."""

    name = "postbox"

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)


class World:
    """Plays days of traffic. ``skill`` is how much of the truth the champion sees, ``warmer`` moves a feature."""

    def __init__(self, root: Path) -> None:
        disk = LocalDisk()
        self.clock = SimulatedClock.create(root / "clock", START)
        self.store = SqliteStore(root / "meta.db", self.clock)
        self.spool = SpoolWriter(root / "spool", "b_1", disk)
        self.tables = ParquetTables(root / "parts", disk)
        self.log = PredictionLog(self.store, self.tables)
        self.blobs = FileBlobs(root / "blobs", disk)
        self.registry = Registry(store=self.store, blobs=self.blobs, clock=self.clock)
        self.postbox = Postbox()
        with self.store.bookkeeping() as connection:
            metadata.create_all(connection)
            connection.execute(insert(projects).values(id="prj_1", name="flights", created_us=0))
            row = {"id": "mod_1", "project": "prj_1", "name": "late", "created_us": 0}
            body = {"spec": msgspec.json.encode(SPEC).decode(), "monitors": msgspec.json.encode(MONITORS).decode()}
            connection.execute(insert(models).values(**row, **body))
            source = SourceSpec("weather", PushReader(), "at", ("dest",), known_at="at")
            spec = msgspec.json.encode(source).decode()
            connection.execute(insert(sources).values(id="src_1", project="prj_1", name="weather", spec=spec))
            spec = msgspec.json.encode(VIEW).decode()
            connection.execute(
                insert(views).values(
                    digest="d1", project="prj_1", name="weather", source="src_1", spec=spec, fed_since_us=0
                )
            )
        self.ingest = Ingest(
            store=self.store,
            tables=self.tables,
            disk=disk,
            spool=root / "spool",
            clock=self.clock,
            shapes=_NoShapes(),
        )
        self.monitoring = self.new_monitoring()
        self.day = 0
        self.generator = np.random.default_rng(1)

    def new_monitoring(self) -> MonitoringService:
        """Return the service as after a restart."""
        parts = {"store": self.store, "registry": self.registry, "log": self.log, "clock": self.clock}
        return MonitoringService(**parts, notifiers=[self.postbox])

    def champion(self, id: str) -> None:
        """Register a version and make it champion."""
        version = Version(
            id=id,
            model="mod_1",
            number=0,
            runtime="onnx",
            files={"model.onnx": self.blobs.put(id.encode())},
            signature=Signature("binary", ()),
            environment=Environment("3.11", "any", {}),
        )
        with self.store.begin("tester") as tx:
            self.registry.register(tx, version)
            self.registry.point(tx, "mod_1", "champion", id, "it is the one to test")

    def play(
        self,
        days: int,
        *,
        skill: float = 1.0,
        warmer: float = 0.0,
        version: str = "ver_1",
        labels: bool = True,
        failing: int = 0,
    ) -> None:
        """Ask, answer and label for some days, evaluating every six hours."""
        for _ in range(days):
            self._ask(skill, warmer, version, labels, failing)
            self.pass_days(1)

    def pass_days(self, days: int) -> None:
        """Let time go by, evaluating every six hours."""
        for _ in range(days * 4):
            self.clock.advance(from_us(self.clock.now_us() + 6 * HOUR_US))
            self.spool.flush()
            self.ingest.run()
            self.monitoring.evaluate("mod_1")
        self.day += days

    def states(self) -> dict[str, str]:
        """Return what every monitor last found, by monitor and subject."""
        found = [finding for state in self.monitoring.state("mod_1") for finding in state.findings]
        return {f"{finding.monitor} {finding.subject}": finding.state for finding in found}

    def close(self) -> None:
        """Let go of everything."""
        self.spool.close()
        self.store.close()

    def _ask(self, skill: float, warmer: float, version: str, labels: bool, failing: int) -> None:
        truth = np.clip(0.3 + 0.2 * self.generator.normal(size=ROWS), 0.02, 0.98)
        late = (self.generator.random(ROWS) < truth).astype(float)
        noise = np.clip(0.3 + 0.2 * self.generator.normal(size=ROWS), 0.02, 0.98)
        answers = skill * truth + (1 - skill) * noise
        start_us = self.clock.now_us()
        for hour in range(24):
            rows = range(hour * 10, hour * 10 + 10)
            at_us = start_us + hour * HOUR_US + 1
            self._ask_hour(
                f"b_1-{self.day:x}-{hour:x}", at_us, [float(answers[row]) for row in rows], warmer, version, failing
            )
            if labels:
                entities = tuple(f"{self.day}-{row}" for row in rows)
                times = (at_us + HOUR_US,) * 10
                self.spool.append(Outcomes("prj_1", "mod_1", entities, tuple(late[list(rows)].tolist()), times, times))

    def _ask_hour(self, id: str, at_us: int, answers: list[float], warmer: float, version: str, failing: int) -> None:
        hour = int(id.rsplit("-", 1)[1], 16)
        entities = tuple(f"{self.day}-{hour * 10 + row}" for row in range(10))
        body = [
            {"flight": e, "dest": "BOS" if row % 2 else "LAX", "distance": 100.0 * row}
            for row, e in enumerate(entities)
        ]
        features = [{"weather": [[12.0 + warmer + self.generator.normal(), None], at_us, "d1"]} for _ in entities]
        self.spool.append(Request(id, "prj_1", "mod_1", at_us, at_us, msgspec.json.encode(body), entities, entities))
        good = tuple(range(failing, 10))
        self.spool.append(
            Scored(
                *(id, "mod_1", version, "served", "ok", 1, good),
                outputs=tuple(answers[row] for row in good),
                features=msgspec.json.encode([features[row] for row in good]),
                latency_us=900,
                decision_us=at_us,
            )
        )


class _NoShapes:
    def shape(self, source: str) -> None:
        return None


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.champion("ver_1")
    yield world
    world.close()
