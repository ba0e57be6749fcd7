"""Sources and views of projects: inspected, ingested, fed to the latest store, and handed to training workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import polars as pl
from sqlalchemy import Connection, Row, func, select, update

from mainspring.features.frame import FrameSource, FrameSpec, FrameView, Label
from mainspring.features.inspection import declared_faults, inspected
from mainspring.features.ports import Latest, SourceReader
from mainspring.features.rows import KNOWN, TIME, distinct, timed
from mainspring.features.spec import PushReader, SourceSpec, ViewSpec
from mainspring.features.tables import sources, views
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Conflict, InvalidInput, MainspringError, unknown
from mainspring.ledger.ports import Store
from mainspring.log.queries import PredictionLog
from mainspring.log.tables import parts

_SLACK_US = 26 * 3_600_000_000  # the latest store keeps a day of decision times and an hour of slack


class FedView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view that is fed, under its digest; ``source`` is an id."""

    digest: str
    project: str
    spec: ViewSpec
    source: str


class AskedAt(Protocol):
    """The moment of prediction of a training row."""

    @property
    def column(self) -> str: ...
    @property
    def offset_us(self) -> int: ...


class Comes(Protocol):
    """What comes true."""

    @property
    def expression(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def kind(self) -> Literal["bool", "float", "class"]: ...
    @property
    def if_absent(self) -> Literal["unlabelled", "negative"]: ...
    @property
    def matures_after_us(self) -> int: ...


class Asked(Protocol):
    """What a frame needs to know of a model; the registry's ``ModelSpec`` is one."""

    @property
    def entity(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def predict_at(self) -> AskedAt: ...
    @property
    def outcome(self) -> Comes: ...
    @property
    def keys(self) -> tuple[str, ...]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


class Wanted(Protocol):
    """What a frame needs to know of a recipe; the registry's ``Recipe`` is one."""

    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def group(self) -> str | None: ...


class FeatureService:
    """Keeps sources and views. ``readers`` are by the tag of a reader's spec: parquet, csv, sql."""

    def __init__(
        self, *, store: Store, log: PredictionLog, latest: Latest, readers: Mapping[str, SourceReader], clock: Clock
    ) -> None:
        self._store = store
        self._log = log
        self._latest = latest
        self._readers = readers
        self._clock = clock
        self._feeding = threading.Lock()

    def sources(self, project: str) -> list[tuple[str, SourceSpec]]:
        """Return the project's sources with their ids, by name."""
        query = select(sources).where(sources.c.project == project).order_by(sources.c.name)
        with self._store.read() as connection:
            return [(row.id, _source(row.spec)) for row in connection.execute(query)]

    def views(self, digests: Sequence[str]) -> list[FedView]:
        """Return the views of these digests, in their order."""
        with self._store.read() as connection:
            rows = connection.execute(select(views).where(views.c.digest.in_(digests)).order_by(views.c.project)).all()
        known = {row.digest: _fed(row) for row in reversed(rows)}
        for digest in digests:
            if digest not in known:
                raise unknown("view", digest, known)
        return [known[digest] for digest in digests]

    def demand_fed(self, connection: Connection, digests: Sequence[str]) -> None:
        """Refuse a version whose views were let go while it was made; called in the transaction that registers it."""
        known = set(connection.scalars(select(views.c.digest).where(views.c.digest.in_(digests))))
        if not known.issuperset(digests):
            raise Conflict(
                "a view that it looks up is declared no more: the project was applied anew in the meantime",
                field="views",
                remedy="make it again",
            )

    def inspect(self, spec: SourceSpec, project_root: Path) -> SourceSpec:
        """Return the source with its columns as they are found in its rows.

        Raises ``InvalidProject`` with every fault: missing columns, time or key, times without a zone, repeated keys.
        """
        if isinstance(spec.reader, PushReader) or declared_faults(spec):
            return inspected(spec, None)
        return inspected(spec, self._reader(spec).read(spec, project_root).frame)

    def ingest(
        self, project: str, now_us: int, *, on_fault: Callable[[MainspringError], None] | None = None
    ) -> dict[str, pl.DataFrame]:
        """Store rows of files and queries that are known by now and not stored yet; return the new ones by source.

        They are durable when this returns; ``feed`` takes them to the views. With ``on_fault`` a source that cannot be
        read is told, and the others are read all the same.
        """
        found = {}
        for source_id, spec in self.sources(project):
            if isinstance(spec.reader, PushReader):
                continue
            try:
                rows = self._read(source_id, spec, now_us)
            except MainspringError as fault:
                if on_fault is None:
                    raise
                on_fault(fault)
                continue
            if not rows.is_empty():
                found[source_id] = rows
        return found

    def feed(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take stored rows to the views of their sources; a view that has missed others is built again from all."""
        with self._feeding:
            for source_id, frame in frames.items():
                spec, fed, total = self._reading(source_id)
                rows = timed(spec, frame)
                for view in fed:
                    before = self._latest.position(view.digest)
                    if before == "" or int(before) + frame.height < total:
                        self._feed_all(view, spec, total)
                        continue
                    self._latest.put(view.digest, view.spec, spec, rows)
                    reached("features.before_mark")
                    self._latest.mark(view.digest, str(total))

    def catch_up(self) -> list[str]:
        """Bring every view up to its source's stored rows, new views from nothing; return those that were behind."""
        behind = []
        with self._feeding:
            with self._store.read() as connection:
                read = connection.scalars(select(views.c.source).distinct()).all()
            for source_id in read:
                spec, fed, total = self._reading(source_id)
                for view in fed:
                    if self._latest.position(view.digest) != str(total):
                        self._feed_all(view, spec, total)
                        behind.append(view.digest)
        return behind

    def fed(self) -> set[str]:
        """Return the digests of the views that are to be fed."""
        with self._store.read() as connection:
            return set(connection.scalars(select(views.c.digest)))

    def let_go(self, digests: Iterable[str]) -> None:
        """Forget the rows of views that are neither declared any more nor needed by a version."""
        with self._feeding:
            for digest in digests:
                self._latest.drop(digest)

    def rebuild(self) -> None:
        """Build all views anew from what is stored, and let nothing of before be left; readers see old or new ones."""
        with self._feeding:
            with self._store.read() as connection:
                read = connection.scalars(select(views.c.source).distinct()).all()
            fresh = self._latest.beside()
            for source_id in read:
                spec, fed, total = self._reading(source_id)
                for view in fed:
                    self._feed_all(view, spec, total, fresh)
            reached("features.before_take")
            self._latest.take(fresh)

    def frame(
        self, model: Asked, recipe: Wanted, project: str, *, until_us: int, since_us: int | None = None
    ) -> FrameSpec:
        """Return what a worker needs to build a recipe's training frame from rows known by ``until_us``."""
        grouped = [recipe.group] if recipe.group else []
        wanted = dict.fromkeys([*model.keys, *model.inputs, *recipe.inputs, *grouped])
        with self._store.read() as connection:
            specs = {row.name: row for row in connection.execute(select(sources).where(sources.c.project == project))}
            bound = [_view_named(connection, project, name, specs) for name in recipe.features]
        names = dict.fromkeys([model.source, model.outcome.source, *(view.view.source for view in bound)])
        for name in names:
            if name not in specs:
                raise unknown("source", name, specs)
        outcome = model.outcome
        return FrameSpec(
            entity=model.entity,
            source=model.source,
            at_column=model.predict_at.column,
            at_offset_us=model.predict_at.offset_us,
            columns=tuple(wanted),
            label=Label(outcome.expression, outcome.source, outcome.kind, outcome.if_absent, outcome.matures_after_us),
            sources={name: self._frame_source(specs[name].id, _source(specs[name].spec)) for name in names},
            views=tuple(bound),
            until_us=until_us,
            since_us=since_us,
        )

    def _read(self, source_id: str, spec: SourceSpec, now_us: int) -> pl.DataFrame:
        with self._store.read() as connection:
            row = connection.execute(select(sources).where(sources.c.id == source_id)).one()
        read = self._reader(spec).read(spec, Path(), row.watermark, now_us, row.read_until_us)
        rows = timed(spec, read.frame).filter(pl.col(KNOWN) <= now_us)
        fresh = self._fresh(source_id, spec, distinct(spec, rows), now_us).drop(TIME)
        if fresh.is_empty() and read.watermark == row.watermark and row.read_until_us is not None:
            return fresh
        with self._store.bookkeeping() as connection:
            self._log.append_source(connection, source_id, fresh, now_us)
            reached("features.before_commit")
            moved = update(sources).where(sources.c.id == source_id)
            connection.execute(moved.values(watermark=read.watermark, read_until_us=now_us))
        return fresh

    def _fresh(self, source_id: str, spec: SourceSpec, rows: pl.DataFrame, now_us: int) -> pl.DataFrame:
        """Return the rows that are not stored yet, be it from an earlier reading or because they were pushed."""
        if rows.is_empty():
            return rows
        first = rows.get_column(KNOWN).min()
        stored = self._log.source(source_id, now_us, first if isinstance(first, int) else None)
        if stored.is_empty():
            return rows
        return rows.join(timed(spec, stored), on=[*spec.key, KNOWN], how="anti", maintain_order="left")

    def _reader(self, spec: SourceSpec) -> SourceReader:
        tag = str(spec.reader.__struct_config__.tag)
        if tag not in self._readers:
            raise InvalidInput("cannot be read here", field=spec.name, value=tag, remedy="push its rows")
        return self._readers[tag]

    def _reading(self, source_id: str) -> tuple[SourceSpec, list[FedView], int]:
        """Return a source with the views that read it and how many rows of it are stored."""
        with self._store.read() as connection:
            spec = connection.scalar(select(sources.c.spec).where(sources.c.id == source_id))
            rows = connection.execute(select(views).where(views.c.source == source_id).order_by(views.c.digest)).all()
            total, _ = _stored(connection, source_id)
        return (_source(spec) if spec else _nothing(source_id)), [_fed(row) for row in rows], total

    def _feed_all(self, view: FedView, spec: SourceSpec, total: int, into: Latest | None = None) -> None:
        """Build a view from what is stored: all of it, or as far back as it can matter."""
        with self._store.read() as connection:
            _, newest_us = _stored(connection, view.source)
        reach_us = view.spec.horizon_us()
        since_us = None if reach_us is None or _by_time(view.spec) else newest_us - reach_us - _SLACK_US
        rows = self._log.source(view.source, since_us=since_us)
        if rows.width <= 1:
            rows = pl.DataFrame(schema={column.name: pl.Null for column in spec.columns})
        latest = into or self._latest
        latest.put(view.digest, view.spec, spec, rows)
        reached("features.before_mark")
        latest.mark(view.digest, str(total))

    def _frame_source(self, source_id: str, spec: SourceSpec) -> FrameSource:
        with self._store.read() as connection:
            rows, newest_us = _stored(connection, source_id)
        paths = tuple(str(path) for path in self._log.source_parts(source_id))
        return FrameSource(source_id, spec, paths, tuple(self._log.source_digests(source_id)), rows, newest_us)


def _by_time(view: ViewSpec) -> bool:
    return any(feature.by == "time" for feature in view.features) or view.ttl_us is not None


def _view_named(connection: Connection, project: str, name: str, specs: Mapping[str, Row[Any]]) -> FrameView:
    """Return the newest view of a name."""
    query = select(views).where(views.c.project == project, views.c.name == name)
    row = connection.execute(query.order_by(views.c.fed_since_us.desc()).limit(1)).first()
    if row is None:
        known: Iterable[str] = connection.scalars(select(views.c.name).where(views.c.project == project)).all()
        raise unknown("view", name, known)
    view = msgspec.json.decode(row.spec, type=ViewSpec)
    if view.source not in specs:
        raise unknown("source", view.source, specs)
    return FrameView(row.digest, view, _source(specs[view.source].spec))


def _stored(connection: Connection, source_id: str) -> tuple[int, int]:
    """Return how many rows of a source are stored, and the newest known-at among them."""
    query = select(func.sum(parts.c.rows), func.max(parts.c.max_us)).where(parts.c.table == f"source:{source_id}")
    rows, newest_us = connection.execute(query).one()
    return int(rows or 0), int(newest_us or 0)


def _source(text: str) -> SourceSpec:
    return msgspec.json.decode(text, type=SourceSpec)


def _fed(row: Row[Any]) -> FedView:
    return FedView(row.digest, row.project, msgspec.json.decode(row.spec, type=ViewSpec), row.source)


def _nothing(source_id: str) -> SourceSpec:
    raise unknown("source", source_id, [])
