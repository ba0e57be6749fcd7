"""A small world: one model with real store, registry and log, and traffic written as the log keeps it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from sqlalchemy import insert

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.clock import SimulatedClock
from mainspring.kernel.ids import new_id
from mainspring.kernel.metadata import metadata
from mainspring.kernel.schema import Column, Signature
from mainspring.ledger.chain import Entry
from mainspring.ledger.queries import entries
from mainspring.log.parts import list_parts, span_of
from mainspring.log.queries import PredictionLog
from mainspring.log.rows import SCHEMAS
from mainspring.log.tally import add_tallies, tallies_of
from mainspring.registry.environment import capture
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt, Recipe
from mainspring.registry.service import Registry
from mainspring.registry.tables import models, projects
from mainspring.registry.version import Lineage, Version
from mainspring.release.release import Release
from mainspring.release.service import ReleaseService
from mainspring.serving.draw import HELD_OUT, assign, probabilities
from mainspring.serving.routing import ArmRoute, HoldoutRoute, ReleaseRoute

DAY = timedelta(days=1)
START = datetime(2013, 3, 1, tzinfo=UTC)
MODEL = ModelSpec(
    name="late",
    task="binary",
    entity="flight_id",
    source="flights",
    predict_at=PredictAt("sched_dep", -7_200_000_000),
    outcome=OutcomeSpec("arr_delay > 15", "flights", 36 * 3_600_000_000, affected_by_answer=False),
    recipes=(Recipe("default", "project:train"),),
)
Answer = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class World:
    """Traffic of ``rows_a_day`` flights; a version is a function from the true chance to an answer (NaN: it fails)."""

    def __init__(self, folder: Path, rows_a_day: int = 930, spec: ModelSpec = MODEL) -> None:
        self.clock = SimulatedClock.create(folder / "clock", START)
        self.store = SqliteStore(folder / "meta.db", self.clock)
        with self.store.bookkeeping() as connection:
            metadata.create_all(connection)
        disk = LocalDisk()
        self.blobs = FileBlobs(folder / "blobs", disk)
        self.tables = ParquetTables(folder / "parts", disk)
        self.log = PredictionLog(self.store, self.tables)
        self.registry = Registry(store=self.store, blobs=self.blobs, clock=self.clock)
        self.releases = ReleaseService(store=self.store, registry=self.registry, log=self.log, clock=self.clock)
        self.rows_a_day = rows_a_day
        self.random = np.random.default_rng(7)
        self.answers: dict[str, Answer] = {}
        self.count = 0
        self.label_shift = 0.0
        self.tells_negatives = True
        self.worth = 1.0  # the outcome's value where it happens
        self.late_us = 0  # how much later than usual outcomes become known
        self.effects: dict[str, float] = {}  # by how much a version's answers move the chance of the outcome
        self.holdout: HoldoutRoute | None = None
        self.taken_out: set[str] = set()
        self.latency_us: dict[str, int] = {}  # of a version's answers, where not a tenth of a millisecond
        self.sample = 1.0  # of the rows that shadows score
        self.late: dict[str, float] = {}  # the share of a version's answers that come too late
        self.lost: dict[str, float] = {}  # the share of the units drawn to a version that never reach the log
        self.untold: dict[str, float] = {}  # the share of those to whom nothing happened and nobody tells it
        self.tells = True  # any outcome at all
        self.customers = 0  # where set, units are so many customers who come back
        self.model = "mod_late"
        with self.store.bookkeeping() as connection:
            connection.execute(insert(projects).values(id="prj_demo", name="demo", created_us=0))
            body = msgspec.json.encode(spec).decode()
            connection.execute(
                insert(models).values(id=self.model, project="prj_demo", name="late", spec=body, created_us=0)
            )

    def version(self, answer: Answer, recipe: str = "default", requested: tuple[Column, ...] = ()) -> Version:
        version = Version(
            id="", model=self.model, number=0, runtime="onnx",
            files={"model.onnx": self.blobs.put(new_id("x").encode())},
            signature=Signature("binary", (Column("x", "float"),), requested), environment=capture([]),
            lineage=Lineage(recipe=recipe),
        )  # fmt: skip
        with self.store.begin("test") as tx:
            stored = self.registry.register(tx, version)
        self.answers[stored.id] = answer
        return stored

    def champion(self, answer: Answer) -> Version:
        version = self.version(answer)
        self.releases.first_champion(self.model, version.id, by="test", reason="the start")
        return version

    def play(self, days: float, turn: timedelta = timedelta(hours=8)) -> None:
        """Let time pass in turns: traffic, then one step of every running release."""
        end = self.clock.now() + timedelta(days=days)
        while self.clock.now() < end:
            begun_us = self.clock.now_us()
            routes = self.releases.running(self.model)
            self.clock.advance(min(self.clock.now() + turn, end))
            self.traffic(begun_us, self.clock.now_us(), routes)
            for release in routes:
                self.releases.step(release.id)

    def traffic(self, begun_us: int, until_us: int, routes: list) -> None:
        n = max(1, round(self.rows_a_day * (until_us - begun_us) / 86_400_000_000))
        at = np.linspace(begun_us + 1, until_us, n).astype(np.int64)
        chance = np.clip(self.random.beta(1.2, 3.8, n), 0.01, 0.99)
        entities = [f"f{self.count + place}" for place in range(n)]
        self.count += n
        ids = [f"p-{entity}" for entity in entities]
        champion = self.registry.alias(self.model, "champion")
        drawing = next((one for one in routes if one.share > 0), None)
        route = drawn_by(drawing) if drawing else None
        out = self.taken_out
        units = [f"u{number}" for number in self.random.integers(0, self.customers, n)] if self.customers else entities
        per_request = route is not None and route.per == "request"
        keys = [f"{id}.0" for id in ids] if per_request else units
        drawn = [
            assign(route, champion.id, unit, key=key, holdout=self.holdout, out=out)
            for unit, key in zip(units, keys, strict=True)
        ]
        held = np.array([one.held_out for one in drawn])
        several = probabilities(route, champion.id, out) if route is not None and route.others else {}
        arms = np.array([one.arm for one in drawn])
        shadows = {version for one in routes for version in one.shadows}
        if drawing and drawing.shadows:
            shadows.add(champion.id)
        scored = []
        asked = {champion.id, *shadows, *arms}
        for version in [one for one in self.answers if one in asked]:  # in one order, so that seeds repeat
            output = self.answers[version](chance, self.random)
            served = arms == version
            if version not in shadows:
                keep = np.flatnonzero(served)
            elif self.sample < 1.0:
                keep = np.flatnonzero(served | (self.random.random(n) < self.sample))
            else:
                keep = np.arange(n)
            failed = np.isnan(output)
            late = self.share_of(n, self.late, np.full(n, version))
            scored.append(
                pl.DataFrame(
                    {
                        "prediction_id": np.array(ids)[keep], "row": np.zeros(len(keep), dtype=int),
                        "model": self.model, "version": version, "role": np.where(served, "served", "shadow")[keep],
                        "status": np.where(failed, "failed", np.where(late, "late", "ok"))[keep],
                        "output": np.where(late, np.nan, output)[keep],
                        "decision_us": at[keep], "latency_us": self.latency_us.get(version, 100), "generation": 1,
                        "release": drawing.id if drawing else "", "reason": "",
                    }
                )
            )  # fmt: skip
        moved = np.where(arms == champion.id, 0.0, self.label_shift)
        for version, effect in self.effects.items():
            moved = np.where(arms == version, effect, moved)
        happened = self.random.random(n) < np.clip(chance + moved, 0.0, 1.0)
        known = at + (self.random.gamma(4.0, 1.2, n) * 3_600_000_000).astype(np.int64) + self.late_us
        kept = pl.Series(~self.share_of(n, self.lost, arms))
        self.put("requests", pl.DataFrame({"prediction_id": ids, "row": 0, "model": self.model, "entity": entities,
                 "unit": units, "decision_us": at, "receipt_us": at, "body": "{}"}).filter(kept))  # fmt: skip
        self.put("assignments", pl.DataFrame({"prediction_id": ids, "row": 0, "model": self.model,
                 "release": np.where(held, HELD_OUT, drawing.id if drawing else ""), "epoch": 1, "generation": 1,
                 "salt": "", "actions": msgspec.json.encode(several).decode() if several else "",
                 "draw": [one.draw for one in drawn], "arm": arms, "propensity": [one.propensity for one in drawn],
                 "decision_us": at}).filter(kept))  # fmt: skip
        there = pl.Series(ids).filter(kept)
        self.put("scored", pl.concat(scored).filter(pl.col("prediction_id").is_in(there.implode())))
        lands = (self.random.random(n) < 0.972) & (happened | self.tells_negatives) & self.tells
        lands &= happened | ~self.share_of(n, self.untold, arms)
        self.put("outcomes", pl.DataFrame({"model": self.model, "entity": entities, "value": happened * self.worth,
                 "event_us": known, "known_us": known}).filter(pl.Series(lands)))  # fmt: skip

    def share_of(self, n: int, shares: dict[str, float], versions: np.ndarray) -> np.ndarray:
        """Return which of n rows belong to the share that is stated for their version; nothing is drawn for none."""
        if not shares:
            return np.zeros(n, dtype=bool)
        stated = np.array([shares.get(str(version), 0.0) for version in versions])
        return np.asarray(self.random.random(n) < stated)

    def put(self, table: str, frame: pl.DataFrame) -> None:
        missing = [pl.lit(None, kind).alias(name) for name, kind in SCHEMAS[table].items() if name not in frame.columns]
        rows = frame.with_columns(missing).select([pl.col(name).cast(kind) for name, kind in SCHEMAS[table].items()])
        part = self.tables.write(table, rows)
        with self.store.bookkeeping() as connection:
            list_parts(connection, [(part, span_of(table, rows))], 0)
            add_tallies(connection, tallies_of(table, rows))

    def told(self, kind: str = "release") -> list[Entry]:
        with self.store.read() as connection:
            return entries(connection, kind=kind)


def drawn_by(release: Release) -> ReleaseRoute:
    """Return the draw of a release as control publishes it."""
    (first, share), *others = release.shares
    rule = release.terms.allocation
    return ReleaseRoute(
        release.id, release.epoch, release.salt, first, share,
        others=tuple(ArmRoute(version, own) for version, own in others),
        per="request" if rule is not None and rule.per == "request" else "unit",
    )  # fmt: skip


def noisy(sd: float, bias: float = 0.0, failing: float = 0.0) -> Answer:
    """Return a model that sees the true chance through noise of ``sd`` on the log-odds; some answers fail."""

    def answer(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
        odds = np.log(chance / (1.0 - chance)) + bias + sd * random.standard_normal(len(chance))
        answers = 1.0 / (1.0 + np.exp(-odds))
        return np.where(random.random(len(chance)) < failing, np.nan, answers)

    return answer


@pytest.fixture
def new_world() -> Iterator[Callable[[Path], World]]:
    """Make a world in a folder of its own."""
    made: list[World] = []

    def make(folder: Path) -> World:
        folder.mkdir()
        made.append(World(folder))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def affecting(tmp_path: Path) -> Iterator[World]:
    """A world whose outcomes are not declared free of the answers."""
    outcome = msgspec.structs.replace(MODEL.outcome, affected_by_answer=True)
    made = World(tmp_path, spec=msgspec.structs.replace(MODEL, outcome=outcome))
    yield made
    made.store.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[World]:
    """A world in which nobody tells that nothing happened: no outcome in time is a negative one."""
    outcome = msgspec.structs.replace(MODEL.outcome, if_absent="negative")
    made = World(tmp_path, spec=msgspec.structs.replace(MODEL, outcome=outcome))
    made.tells_negatives = False
    yield made
    made.store.close()


@pytest.fixture
def amounts(tmp_path: Path) -> Iterator[World]:
    """A world whose outcome is an amount, thirty or nothing, that versions estimate."""
    outcome = msgspec.structs.replace(MODEL.outcome, expression="delay", kind="float")
    made = World(tmp_path, spec=msgspec.structs.replace(MODEL, task="regression", outcome=outcome))
    made.worth = 30.0
    yield made
    made.store.close()


@pytest.fixture
def returning(tmp_path: Path) -> Iterator[World]:
    """A world in which four hundred customers ask again and again, and routing draws customers."""
    made = World(tmp_path, spec=msgspec.structs.replace(MODEL, unit="customer"))
    made.customers = 400
    yield made
    made.store.close()


@pytest.fixture
def model() -> Callable[..., Answer]:
    return noisy
