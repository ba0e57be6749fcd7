from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, select

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock, to_us
from mainspring.kernel.errors import Damaged, InvalidInput, NotFound, Refused
from mainspring.kernel.ids import new_id
from mainspring.kernel.metadata import metadata
from mainspring.kernel.schema import Column, Signature
from mainspring.ledger.queries import entries
from mainspring.ledger.transaction import Transaction
from mainspring.registry.environment import capture, mismatches
from mainspring.registry.service import Registry
from mainspring.registry.tables import models, projects
from mainspring.registry.version import Environment, Version

START = datetime(2013, 5, 1, tzinfo=UTC)
SIGNATURE = Signature(task="binary", inputs=(Column("x", "float"),), requested=(Column("x", "float"),))
HERE = Environment("3.11.0", "linux", {})


def declare(tx: Transaction, project: str, name: str) -> str:
    found = tx.connection.scalar(select(projects.c.id).where(projects.c.name == project))
    if found is None:
        found = new_id("prj")
        tx.connection.execute(insert(projects).values(id=found, name=project, created_us=0))
    model = new_id("mod")
    tx.connection.execute(insert(models).values(id=model, project=found, name=name, created_us=0))
    tx.record("model.created", model, "declared")
    return model


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock.create(folder / "clock", START)
        self.store = SqliteStore(folder / "meta.db", self.clock)
        with self.store.bookkeeping() as connection:
            metadata.create_all(connection)
        self.blobs = FileBlobs(folder / "blobs", LocalDisk())
        self.registry = Registry(store=self.store, blobs=self.blobs, clock=self.clock)
        with self.store.begin("ann") as tx:
            self.model = declare(tx, "flights", "late")

    def make(self, content: bytes = b"graph", runtime: str = "onnx", environment: Environment = HERE) -> Version:
        files = {"model.onnx": self.blobs.put(content)}
        version = Version("", self.model, 0, runtime, files, SIGNATURE, environment)  # type: ignore[arg-type]
        with self.store.begin("ann") as tx:
            return self.registry.register(tx, version)

    def point(self, version: str | None, reason: str = "better") -> None:
        with self.store.begin("ann") as tx:
            self.registry.point(tx, self.model, "champion", version, reason, {"n": 3})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_versions_are_numbered_from_one_and_found_by_number(world: World) -> None:
    first, second = world.make(b"one"), world.make(b"two")

    assert (first.number, second.number) == (1, 2)
    assert world.registry.by_number(world.model, 2) == second
    assert world.registry.version(first.id) == first
    assert [version.number for version in world.registry.versions(world.model)] == [1, 2]


def test_the_digest_covers_files_signature_and_environment_and_nothing_else(world: World) -> None:
    first, same, other = world.make(b"one"), world.make(b"one"), world.make(b"two")

    assert first.id != same.id
    assert first.digest == same.digest
    assert first.digest != other.digest


def test_an_unknown_number_says_which_there_are(world: World) -> None:
    world.make()

    with pytest.raises(NotFound, match="version: there is no such version \\(got 9\\); it has: 1"):
        world.registry.by_number(world.model, 9)


def test_a_misspelt_model_names_the_nearest(world: World) -> None:
    with pytest.raises(NotFound, match="did you mean 'late'"):
        world.registry.model("flights", "lite")


def test_a_name_in_two_projects_asks_which(world: World) -> None:
    with world.store.begin("ann") as tx:
        declare(tx, "trains", "late")

    with pytest.raises(InvalidInput, match=r"is in several projects .* say which: flights, trains"):
        world.registry.model(None, "late")


def test_an_alias_answers_what_it_pointed_at_on_an_earlier_day(world: World) -> None:
    first, second = world.make(b"one"), world.make(b"two")
    world.point(first.id)
    world.clock.advance(START + timedelta(days=4))
    world.point(second.id, "not worse")

    assert world.registry.alias(world.model, "champion") == second
    assert world.registry.alias(world.model, "champion", to_us(START + timedelta(days=2))) == first
    assert world.registry.alias(world.model, "champion", to_us(START - timedelta(days=2))) is None
    assert [move.number for move in world.registry.history(world.model, "champion")] == [1, 2]
    assert world.registry.latest_alias_us(world.model, "champion") == to_us(START + timedelta(days=4))


def test_moving_an_alias_is_in_the_ledger_with_both_numbers(world: World) -> None:
    first, second = world.make(b"one"), world.make(b"two")
    world.point(first.id)
    world.point(second.id, "it was better on 5,300 rows")

    with world.store.read() as connection:
        moved = entries(connection, kind="alias.moved")
    assert [(entry.numbers["from"], entry.numbers["to"], entry.reason) for entry in moved] == [
        (None, 1, "better"),
        (1, 2, "it was better on 5,300 rows"),
    ]
    assert moved[1].numbers["n"] == 3


def test_an_alias_that_points_there_already_changes_nothing(world: World) -> None:
    first = world.make()
    world.point(first.id)
    with world.store.begin("ann") as tx:
        assert world.registry.point(tx, world.model, "champion", first.id, "again") is None
        tx.record("test.done", "x", "a transaction needs an entry")

    assert len(world.registry.history(world.model, "champion")) == 1


def test_an_alias_can_be_taken_away(world: World) -> None:
    first = world.make()
    world.point(first.id)
    world.point(None, "withdrawn")

    assert world.registry.alias(world.model, "champion") is None
    assert [move.version for move in world.registry.history(world.model, "champion")] == [first.id, None]


def test_a_version_of_another_model_cannot_be_pointed_at(world: World) -> None:
    version = world.make()
    with world.store.begin("ann") as tx:
        other = declare(tx, "flights", "other")

    with pytest.raises(NotFound, match="the model has no such version"), world.store.begin("ann") as tx:
        world.registry.point(tx, other, "champion", version.id, "wrong")


def test_a_version_whose_file_is_missing_is_refused_and_leaves_no_trace(world: World) -> None:
    version = Version("", world.model, 0, "onnx", {"model.onnx": "0" * 64}, SIGNATURE, HERE)

    with pytest.raises(Damaged, match=r"the blob of model\.onnx is missing"), world.store.begin("ann") as tx:
        world.registry.register(tx, version)

    assert world.registry.versions(world.model) == []


def test_an_environment_that_does_not_match_is_refused_for_python_and_not_for_a_graph(world: World) -> None:
    elsewhere = Environment("3.9.1", "linux", {"scikit-learn": "0.20"})

    with pytest.raises(Refused, match=r"Python 3\.9\.1 was used, 3\.1"):
        world.make(runtime="python", environment=elsewhere)
    assert world.make(runtime="onnx", environment=elsewhere).number == 1


def test_mismatches_are_named_one_by_one() -> None:
    wanted = Environment("3.11.2", "linux", {"numpy": "2.4", "scipy": "1.17"})

    assert mismatches(wanted, {"numpy": "2.4", "scipy": "1.17"}, "3.11.9") == []
    assert mismatches(wanted, {"numpy": "1.26"}, "3.12.0") == [
        "Python 3.11.2 was used, 3.12.0 is here",
        "numpy 2.4 was used, 1.26 is installed",
        "scipy 1.17 is not installed",
    ]


def test_an_environment_names_distributions_not_modules() -> None:
    found = capture(["sklearn.linear_model", "json", "mainspring.kernel"])

    assert list(found.packages) == ["scikit-learn"]
    assert mismatches(found) == []


def test_a_stored_version_reads_back_equal(world: World) -> None:
    version = world.make()

    assert msgspec.json.decode(msgspec.json.encode(version), type=Version) == version
