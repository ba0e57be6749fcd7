"""Rows that were stored but could not be fed to the views are fed at the next turn, without a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainspring.adapters.home import Home
from mainspring.adapters.latest.lmdb import LmdbLatest
from mainspring.adapters.sources import readers
from mainspring.features.keys import encode_key
from mainspring.features.service import FeatureService
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.clock import from_us
from mainspring.kernel.errors import Unavailable
from mainspring.log.records import SourceRows
from mainspring.log.retention import Retention
from mainspring.log.spool import SpoolWriter
from mainspring.loop.act import Loop
from mainspring.platform import Platform


class FailsOnce:
    """The latest features of a platform, on a disk that is full for one write."""

    def __init__(self, inner: LmdbLatest) -> None:
        self._inner = inner
        self.failed = False

    def put(self, view_digest: str, spec: ViewSpec, source: SourceSpec, rows: pl.DataFrame) -> None:
        if not self.failed:
            self.failed = True
            raise Unavailable("the disk is full; nothing was changed", field="home")
        self._inner.put(view_digest, spec, source, rows)

    def get(self, view_digest: str, keys: Any, at_us: int) -> Any:
        return self._inner.get(view_digest, keys, at_us)

    def position(self, view_digest: str) -> str:
        return self._inner.position(view_digest)

    def mark(self, view_digest: str, position: str) -> None:
        self._inner.mark(view_digest, position)

    def drop(self, view_digest: str) -> None:
        self._inner.drop(view_digest)

    def beside(self) -> Any:
        return self._inner.beside()

    def follow(self) -> None:
        self._inner.follow()

    def take(self, other: Any) -> None:
        self._inner.take(other)


def loop_over(platform: Platform, latest: FailsOnce) -> Loop:
    features = FeatureService(
        store=platform.store, log=platform.log, latest=latest, readers=readers(), clock=platform.clock
    )
    return Loop(
        retention=Retention(platform.store, platform.tables), erasure=platform._erasure(),
        store=platform.store, registry=platform.registry, features=features, ingest=platform.ingest,
        training=platform.training, backtests=platform.backtests, checks=platform.checks, releases=platform.releases,
        monitoring=platform.monitoring, publisher=platform.publisher, acknowledged=platform.acknowledged,
        clock=platform.clock, read_every_us=timedelta(minutes=15) // timedelta(microseconds=1),
    )  # fmt: skip


def push(platform: Platform, boot: str, order: str, amount: float) -> None:
    project = platform.registry.project("crash")
    source = next(id for id, spec in platform.features.sources(project) if spec.name == "orders")
    now_us = platform.clock.now_us()
    row = f'[{{"order_id":"{order}","shop":"east","amount":{amount},"placed":"{from_us(now_us).isoformat()}"}}]'
    writer = SpoolWriter(platform.home.spool, boot, platform.disk)
    writer.append(SourceRows(project, source, now_us, row.encode()))
    writer.close()


@pytest.mark.parametrize("pushed_meanwhile", [False, True])
def test_rows_whose_feeding_failed_are_fed_at_the_next_turn(
    place: Path, open_home: Callable[..., Any], pushed_meanwhile: bool
) -> None:
    with open_home(Home(place / "home")) as platform:
        (view,) = platform.features.views([view.digest for view in platform.publisher.desired().views])
        loop = loop_over(platform, FailsOnce(platform.latest))
        push(platform, "b_one", "e1", 5.0)
        with pytest.raises(Unavailable):
            loop.ingest()
        if pushed_meanwhile:
            push(platform, "b_two", "e2", 7.0)
        loop.ingest()
        (found,) = platform.latest.get(view.digest, [encode_key(["east"])], platform.clock.now_us())
        assert found.values == ((2, 7.0) if pushed_meanwhile else (1, 5.0))
        assert platform.features.catch_up() == []
        loop.close()
