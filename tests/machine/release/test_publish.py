"""What releases and aliases make of the routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.routing import RoutingFile
from mainspring.features.service import FeatureService
from mainspring.kernel.schema import Column
from mainspring.loop.publish import Publisher

ID, X, AGE = Column("id", "str"), Column("x", "float"), Column("age", "int")


def publisher(world: Any, folder: Path) -> Publisher:
    features = FeatureService(
        store=world.store, log=world.log, latest=LmdbLatest(folder / "latest"), readers={}, clock=world.clock
    )
    return Publisher(
        store=world.store,
        registry=world.registry,
        releases=world.releases,
        features=features,
        routing=RoutingFile(folder / "routing", LocalDisk()),
        clock=world.clock,
    )


def point(world: Any, alias: str, version: str) -> None:
    with world.store.begin("ann") as tx:
        world.registry.point(tx, world.model, alias, version, "by hand")


def test_a_version_that_requests_no_longer_suit_is_not_loaded_and_holds_nothing_up(
    world: Any, model: Any, tmp_path: Path
) -> None:
    old = world.version(model(0.3), requested=(ID, X))
    other = world.version(model(0.3), requested=(ID, AGE))
    point(world, "champion", old.id)
    point(world, "baseline", other.id)
    publish = publisher(world, tmp_path)
    first = publish.publish()
    assert [version.id for version in first.versions] == [old.id]
    assert first.models[0].shadows == ()

    wide = world.version(model(0.3), requested=(ID, X, AGE))
    point(world, "champion", wide.id)
    second = publish.publish()
    assert {version.id for version in second.versions} == {wide.id, other.id}
    assert [shadow.version for shadow in second.models[0].shadows] == [other.id]
    assert (first.generation, second.generation, publish.publish().generation) == (1, 2, 2)
