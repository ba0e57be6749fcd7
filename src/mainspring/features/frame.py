"""The training frame: what a model would have been asked, what was known at that moment, and what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import polars as pl

from mainspring.features.join import BoundView, as_of_join
from mainspring.features.rows import DTYPES, KNOWN, TIME, missing_column, newest, timed
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.kernel.errors import InvalidInput, unknown
from mainspring.kernel.ids import digest_of


class FrameSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source and the files that hold its rows. ``rows`` and ``newest_us`` say which state of it they are."""

    id: str
    spec: SourceSpec
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    rows: int
    newest_us: int


class FrameView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view under its digest, with the source it reads."""

    digest: str
    view: ViewSpec
    source: SourceSpec


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes true, as the model's outcome says."""

    expression: str
    source: str
    kind: Literal["bool", "float", "class"]
    if_absent: Literal["unlabelled", "negative"]
    matures_after_us: int


class FrameSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a worker needs to build a frame: definitions and files. ``columns`` are a request's keys and inputs."""

    entity: str
    source: str
    at_column: str
    at_offset_us: int
    columns: tuple[str, ...]
    label: Label
    sources: dict[str, FrameSource]
    views: tuple[FrameView, ...]
    until_us: int
    since_us: int | None = None

    def bound(self, names: Sequence[str]) -> list[FrameView]:
        """Return the views of these names, in their order."""
        known = {bound.view.name: bound for bound in self.views}
        for name in names:
            if name not in known:
                raise unknown("view", name, known)
        return [known[name] for name in names]

    def view_digests(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the digests of the views of these names, in their order."""
        return tuple(bound.digest for bound in self.bound(names))

    def view_definitions(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the digests of what the views of these names say, whichever home it is."""
        return tuple(bound.view.digest(bound.source) for bound in self.bound(names))

    def key(self) -> str:
        """Return a digest that is equal for frames of equal rows: the passing of time alone does not change it."""
        newest_us = max((source.newest_us for source in self.sources.values()), default=0)
        states = {name: [one.id, one.rows, one.newest_us] for name, one in self.sources.items()}
        specs = [msgspec.to_builtins(one.spec) for one in self.sources.values()]
        asked = [self.entity, self.source, self.at_column, self.at_offset_us, self.columns]
        until_us = min(self.until_us, newest_us)
        if self.label.if_absent == "negative":
            until_us = self.until_us  # silence becomes a label as time passes
        views = [view.digest for view in self.views]
        return digest_of([asked, msgspec.to_builtins(self.label), states, specs, views, until_us, self.since_us])


def training_frame(frame: FrameSpec) -> pl.DataFrame:
    """Read the frame's files and build it; runs in a worker, which is given the files' paths.

    The columns are ``entity, at_us, known_us`` (of the outcome), ``label``, the request's columns, and
    ``view.feature``. Only rows whose outcome was known by ``until_us`` are in it, by moment and entity.
    """
    return build_frame(frame, {name: _read(source) for name, source in frame.sources.items()})


def build_frame(frame: FrameSpec, sources: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Build the training frame from rows of its sources by name."""
    spec = frame.sources[frame.source].spec
    rows = newest(spec, timed(spec, sources[frame.source]), frame.until_us)
    for name in (frame.entity, frame.at_column, *frame.columns):
        if name not in rows.columns:
            raise missing_column(name, rows.columns)
    at = pl.col(frame.at_column).dt.epoch("us") + frame.at_offset_us
    asked = rows.with_columns(at.alias("at_us"))
    asked = asked.filter(pl.col("at_us") <= frame.until_us, pl.col(frame.entity).is_not_null())
    if frame.since_us is not None:
        asked = asked.filter(pl.col("at_us") >= frame.since_us)
    labelled = _labelled(frame, asked, sources)
    columns = [name for name in frame.columns if name not in ("entity", "at_us", "known_us", "label")]
    keys = [name for bound in frame.views for name in bound.view.key if name in labelled.columns]
    chosen = labelled.select(
        pl.col(frame.entity).cast(pl.String).alias("entity"),
        *("at_us", "known_us", "label"),
        *(pl.col(name) for name in dict.fromkeys([*columns, *keys]) if name != "entity"),
    ).sort("at_us", "entity")
    views = [BoundView(bound.view, bound.source, sources[bound.view.source]) for bound in frame.views]
    joined = as_of_join(chosen, "at_us", views)
    features = [f"{view.spec.name}.{feature.name}" for view in views for feature in view.spec.features]
    return joined.select("entity", "at_us", "known_us", "label", *columns, *features)


def _labelled(frame: FrameSpec, asked: pl.DataFrame, sources: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return asked rows with ``label`` and ``known_us``, without those that have no label yet."""
    label = frame.label
    dtype = pl.Boolean() if label.kind == "bool" else pl.Float64()
    value = _expression(label.expression).alias("label")
    value = value if label.kind == "class" else value.cast(dtype)
    if label.source == frame.source:
        came = asked.with_columns(value, pl.col(KNOWN).alias("known_us"))
    else:
        spec = frame.sources[label.source].spec
        outcomes = newest(spec, timed(spec, sources[label.source]), frame.until_us)
        if frame.entity not in outcomes.columns:
            raise missing_column(frame.entity, outcomes.columns)
        said = outcomes.with_columns(value).filter(pl.col("label").is_not_null()).sort(TIME, KNOWN, "label")
        told = said.select(frame.entity, "label", pl.col(KNOWN).alias("known_us"))
        last = told.unique(subset=frame.entity, keep="last", maintain_order=True)
        came = asked.join(last, on=frame.entity, how="left", maintain_order="left")
    if label.if_absent == "unlabelled":
        return came.filter(pl.col("label").is_not_null())
    due_us = pl.col("at_us") + label.matures_after_us
    silent = pl.col("label").is_null()
    absent = pl.lit(0).cast(dtype)
    return came.filter(~silent | (due_us <= frame.until_us)).with_columns(
        pl.when(silent).then(due_us).otherwise(pl.col("known_us")).alias("known_us"),
        pl.when(silent).then(absent).otherwise(pl.col("label")).alias("label"),
    )


def _expression(text: str) -> pl.Expr:
    try:
        return pl.sql_expr(text)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"is not an expression ({error})", field="outcome", value=text) from None


def _read(source: FrameSource) -> pl.DataFrame:
    if not source.paths:
        return pl.DataFrame(schema={column.name: DTYPES[column.kind] for column in source.spec.columns})
    parts = [pl.read_parquet(path) for path in source.paths]
    return pl.concat(parts, how="diagonal_relaxed", rechunk=True)
