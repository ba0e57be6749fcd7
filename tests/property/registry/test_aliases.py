from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from mainspring.adapters.blobs.files import FileBlobs
from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SimulatedClock, to_us
from mainspring.kernel.metadata import metadata
from mainspring.kernel.schema import Column, Signature
from mainspring.registry.service import Registry
from mainspring.registry.tables import models, projects
from mainspring.registry.version import Environment, Version

START = datetime(2013, 1, 1, tzinfo=UTC)
moves = st.lists(st.tuples(st.integers(0, 48), st.sampled_from([None, 0, 1, 2])), max_size=12)


@settings(max_examples=25, deadline=None)
@given(moves=moves, asked=st.lists(st.integers(-5, 200), max_size=8))
def test_an_alias_is_at_every_moment_what_it_was_last_set_to(
    moves: list[tuple[int, int | None]], asked: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = SimulatedClock.create(Path(folder) / "clock", START)
        store = SqliteStore(Path(folder) / "meta.db", clock)
        blobs = FileBlobs(Path(folder) / "blobs", LocalDisk())
        registry = Registry(store=store, blobs=blobs, clock=clock)
        made = _three_versions(store, registry, blobs)
        hour, set_to = 0, {0: None} if not moves else {}
        for later, version in moves:
            hour += later
            clock.advance(START + timedelta(hours=hour))
            set_to[hour] = version
            with store.begin("ann") as tx:
                registry.point(tx, "m", "champion", None if version is None else made[version].id, "moved")
                tx.record("test.done", "m", "a transaction needs an entry")

        for moment in asked:
            expected = next((set_to[at] for at in sorted(set_to, reverse=True) if at <= moment), None)
            found = registry.alias("m", "champion", to_us(START + timedelta(hours=moment)))
            assert (found.number - 1 if found else None) == expected
        numbers = [move.number for move in registry.history("m", "champion")]
        assert all(one != two for one, two in pairwise(numbers))
        store.close()


def _three_versions(store: SqliteStore, registry: Registry, blobs: FileBlobs) -> list[Version]:
    with store.bookkeeping() as connection:
        metadata.create_all(connection)
        connection.execute(insert(projects).values(id="p", name="flights", created_us=0))
        connection.execute(insert(models).values(id="m", project="p", name="late", created_us=0))
    signature = Signature(task="binary", inputs=(Column("x", "float"),))
    with store.begin("ann") as tx:
        return [
            registry.register(
                tx,
                Version(
                    "", "m", 0, "onnx", {"model.onnx": blobs.put(bytes([n]))}, signature, Environment("3", "x", {})
                ),
            )
            for n in range(3)
        ]
