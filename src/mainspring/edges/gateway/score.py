"""Batch predictions: a file is scored by one version and logged like any other request, with the role ``batch``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from mainspring.adapters.runtimes.once import running
from mainspring.edges.gateway.protocols.classes import numbers, picked
from mainspring.edges.gateway.snapshot import Sight, View
from mainspring.kernel.classes import class_texts
from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import InvalidInput, nearest, unknown
from mainspring.kernel.ids import PredictionIds, new_id
from mainspring.kernel.schema import Column, Label
from mainspring.log.ports import Spool
from mainspring.log.records import Assignment, Request, Scored, ScoredRows, vectors_of
from mainspring.registry.model import ModelSpec
from mainspring.registry.version import Version
from mainspring.serving.decode import RowDecoder
from mainspring.serving.looked import LookedRows
from mainspring.serving.ports import Row
from mainspring.serving.routing import OLDEST_DECISION_US, ViewRoute, version_route
from mainspring.training.ports import Run

if TYPE_CHECKING:
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow

CHUNK_ROWS = 1_000


class Batch(msgspec.Struct, frozen=True):
    """What was scored: rows, the version, the boot that the predictions' ids begin with, and where the answers lie."""

    rows: int
    version: int
    boot: str
    out: str


def score(
    platform: Platform,
    model: str,
    path: Path,
    out: Path,
    *,
    by: str,
    project: str | None = None,
    version: int | None = None,
    at_us: int | None = None,
) -> Batch:
    """Score a Parquet or CSV file by the champion, or by a numbered version, and write the answers as Parquet.

    Features are looked up as known at ``at_us`` (now if not given). The answers are in the prediction log with the
    role ``batch`` when this returns; ``out`` has the file's columns with ``prediction_id``, ``version`` and ``value``,
    or ``class`` and ``probability.<class>`` for each class.
    """
    row = platform.registry.model(project, model)
    chosen = platform.registry.by_number(row.id, version) if version else platform.registry.alias(row.id, "champion")
    if chosen is None:
        raise unknown("champion", model, ())
    frame = _read(path)
    moment_us = _moment(platform, at_us, chosen)
    _refuse_place(out)
    ids = PredictionIds(new_id("batch"))
    for digest in chosen.files.values():
        platform.blobs.path(digest)
    route = version_route(chosen, platform.registry.environments.lock_of(chosen) or "")
    with running(route, platform.home.blobs, platform.home.environments) as run:
        scorer = _Scorer(platform, row, chosen, run, ids, by)
        scorer.warm()
        chunks = [scorer.read(chunk) for chunk in frame.iter_slices(CHUNK_ROWS)]
        spool = platform.new_spool(ids.boot, "durable")
        try:
            pieces = [scorer.score(chunk, moment_us, spool) for chunk in chunks]
            spool.flush()
        finally:
            spool.close()
    pl.concat(pieces).write_parquet(out)
    return Batch(frame.height, chosen.number, ids.boot, str(out))


class _Chunk(msgspec.Struct, frozen=True):
    """Some rows of the file, and the request that they are."""

    frame: pl.DataFrame
    body: bytes
    rows: Sequence[Row]


class _Scorer:
    """Scores chunks of a file by one version."""

    def __init__(
        self, platform: Platform, model: ModelRow, version: Version, run: Run, ids: PredictionIds, by: str
    ) -> None:  # fmt: skip
        spec = model.spec
        self._columns = version.signature.requested or (spec.columns if spec else ())
        self._model = model
        self._version = version
        self._latest = platform.latest
        self._now_us = platform.clock.now_us()
        self._ids = ids
        self._by = by
        self._run = run
        self._decoder = RowDecoder(self._columns)
        fed = [view for view in platform.features.views(version.views) if view.project == model.project]
        routes = [ViewRoute(view.digest, view.project, view.spec, view.source) for view in fed]
        self._views = [View(route, self._columns) for route in routes]
        self._sight = Sight(version_route(version, ""), self._columns, self._views)
        self._entity, self._unit, self._subject = _places(spec, self._columns)

    def warm(self) -> None:
        """Refuse while a view is not fed yet, before anything is logged."""
        for view in self._views:
            view.warm(self._latest)

    def read(self, frame: pl.DataFrame) -> _Chunk:
        """Return rows of the file as a request; nothing of the file is scored if some row of it is wrong."""
        missing = [name for name in self._decoder.names if name not in frame.columns]
        if missing:
            raise InvalidInput("is not in the file", field=missing[0], remedy=nearest(missing[0], frame.columns))
        body = msgspec.json.encode(list(frame.select(self._decoder.names).iter_rows(named=True)))
        return _Chunk(frame, body, self._decoder.decode(body)[0])

    def score(self, chunk: _Chunk, at_us: int, spool: Spool) -> pl.DataFrame:
        """Return the chunk with its answers, and spool them."""
        rows = chunk.rows
        id = self._ids.next()
        spool.append(*self._asked(id, chunk.body, rows, at_us))
        looked = LookedRows(len(rows), [view.find(self._latest, rows, at_us) for view in self._views])
        began_ns = time.perf_counter_ns()
        values = self._run([self._sight.row(row, seen) for row, seen in zip(rows, looked, strict=True)])
        spool.append(self._scored(id, values, looked, at_us, (time.perf_counter_ns() - began_ns) // 1_000))
        return chunk.frame.with_columns(
            pl.lit(id).alias("prediction_id"),
            pl.lit(self._version.number).alias("version"),
            *_columns(values, self._version.signature.classes),
        )

    def _asked(self, id: str, body: bytes, rows: Sequence[Row], at_us: int) -> Iterator[Request | Assignment]:
        names = tuple(f"{id}.{place}" for place in range(len(rows)))
        entities = names if self._entity is None else _texts(rows, self._entity)
        units = entities if self._unit is None else _texts(rows, self._unit)
        subjects = () if self._subject is None else _texts(rows, self._subject)
        model, many = self._model, len(rows)
        yield Request(id, model.project, model.id, at_us, self._now_us, body, entities, units, subjects, self._by)
        yield Assignment(
            prediction_id=id,
            model=model.id,
            generation=0,
            release="",
            epoch=0,
            salt="",
            rows=tuple(range(many)),
            draws=(0.0,) * many,
            arms=(self._version.id,) * many,
            propensities=(1.0,) * many,
            decision_us=at_us,
        )

    def _scored(self, id: str, values: Sequence[float], looked: LookedRows, at_us: int, latency_us: int) -> Scored:
        threshold = self._version.threshold
        features, seen = self._sight.distinct_features(looked)
        made = ScoredRows(
            prediction_id=id,
            model=self._model.id,
            version=self._version.id,
            role="batch",
            status="ok",
            generation=0,
            rows=tuple(range(len(values))),
            outputs=tuple(values),
            features=features,
            latency_us=latency_us // max(1, len(values)),
            decision_us=at_us,
            threshold=threshold,
            decisions=() if threshold is None else tuple([value >= threshold for value in values]),
            seen=seen,
        )
        classes = self._version.signature.classes
        return vectors_of(made, class_texts(classes)) if classes else made


def _columns(values: Sequence[float], classes: Sequence[Label]) -> list[pl.Series]:
    """Return the answers as columns: the value, or the class and each class's probability."""
    if not classes:
        return [pl.Series("value", values, pl.Float64)]
    likeliest = [picked(value, classes) for value in values]
    parts = zip(class_texts(classes), zip(*[numbers(value) for value in values], strict=True), strict=True)
    return [pl.Series("class", likeliest), *[pl.Series(f"probability.{name}", one, pl.Float64) for name, one in parts]]


def _places(spec: ModelSpec | None, columns: Sequence[Column]) -> tuple[int | None, int | None, int | None]:
    """Return where entity, unit and subject stand in a row; None where the model has none."""
    if spec is None:
        return None, None, None
    places = {column.name: place for place, column in enumerate(columns)}
    return (
        places.get(spec.entity),
        places.get(spec.unit or spec.entity),
        places.get(spec.subject) if spec.subject else None,
    )


def _texts(rows: Sequence[Row], place: int) -> tuple[str, ...]:
    return tuple("" if row[place] is None else str(row[place]) for row in rows)


def _moment(platform: Platform, at_us: int | None, version: Version) -> int:
    now_us = platform.clock.now_us()
    if at_us is None:
        return now_us
    shown = show_time(from_us(at_us))
    if at_us > now_us:
        raise InvalidInput("lies in the future", field="at", value=shown, remedy="state a time that has come")
    if version.views and at_us < now_us - OLDEST_DECISION_US:
        remedy = "state a time of the last 24 hours: features are looked up no further back"
        raise InvalidInput("is too long ago", field="at", value=shown, remedy=remedy)
    return at_us


def _refuse_place(out: Path) -> None:
    if out.is_dir() or not out.parent.is_dir():
        remedy = "name a new file in a folder that there is"
        raise InvalidInput("cannot be written", field="out", value=str(out), remedy=remedy)


def _read(path: Path) -> pl.DataFrame:
    if path.suffix not in (".parquet", ".csv"):
        remedy = "use a .parquet or .csv file"
        raise InvalidInput("is neither Parquet nor CSV", field="file", value=path.name, remedy=remedy)
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=False)
    except (OSError, PolarsError) as error:
        why = str(error).splitlines()[0]
        remedy = "name a file of rows"
        raise InvalidInput(f"cannot be read: {why}", field="file", value=str(path), remedy=remedy) from None
    if frame.is_empty():
        raise InvalidInput("holds no rows", field="file", value=str(path), remedy="name a file of rows")
    return frame
