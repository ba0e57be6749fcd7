"""The as-of join: features as they were known at each row's moment, never later."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl

from mainspring.features.order import NOWHERE, at_or_before
from mainspring.features.rows import KNOWN, timed
from mainspring.features.spec import SourceSpec, ViewSpec
from mainspring.features.windows import AT, GROUP, LAST_TIME, entries, merged, numbered, steps
from mainspring.kernel.errors import InvalidInput, nearest


class BoundView(msgspec.Struct, frozen=True):
    """A view with its source and the source's rows."""

    spec: ViewSpec
    source: SourceSpec
    rows: pl.DataFrame


def as_of_join(rows: pl.DataFrame, at: str, views: Sequence[BoundView]) -> pl.DataFrame:
    """Add to each row the features of ``views`` as they were known at the row's moment.

    ``at`` is a column of microseconds. The columns added are ``view.feature`` and ``view.known_at_us``, the newest
    known-at within the view's reach. Only rows known at or before the moment are seen. A key without rows, or with a
    missing value in it, gives missing values, and 0 for counts.

    >>> from mainspring.features.spec import Feature, PushReader
    >>> source = SourceSpec("sales", PushReader(), time="at", key=("id",), known_after_us=0)
    >>> view = ViewSpec("recent", "sales", ("shop",), (Feature("n", "count", over_us=3_600_000_000),))
    >>> sales = pl.DataFrame({"id": [1], "shop": ["a"], "at": ["2013-05-03T12:00Z"]})
    >>> asked = pl.DataFrame({"shop": ["a", "a"], "moment": [1367582399999999, 1367582400000000]})
    >>> as_of_join(asked, "moment", [BoundView(view, source, sales)])["recent.n"].to_list()
    [0, 1]
    """
    joined = rows
    for view in views:
        joined = joined.hstack(_features_at(rows, at, view))
    return joined


def resolve(view: ViewSpec, found: pl.DataFrame, at: str) -> pl.DataFrame:
    """Return the view's features at the moment in ``at``, given the step in force then (missing: none)."""
    columns = []
    for feature in view.features:
        value = pl.col(feature.name)
        if feature.kind == "count":
            value = value.fill_null(0)
        elif feature.kind in ("mean", "share"):
            value = value.fill_nan(None)
        elif feature.kind == "last" and view.ttl_us is not None:
            value = pl.when(pl.col(at) - pl.col(LAST_TIME) <= view.ttl_us).then(value)
        columns.append(value.alias(f"{view.name}.{feature.name}"))
    known, reach_us = pl.col(KNOWN), view.horizon_us()
    if reach_us is not None:
        known = pl.when(pl.col(at) - known <= reach_us).then(known)
    return found.select(*columns, known.alias(f"{view.name}.known_at_us"))


def _features_at(rows: pl.DataFrame, at: str, view: BoundView) -> pl.DataFrame:
    spec = view.spec
    for name in (*spec.key, at):
        if name not in rows.columns:
            raise InvalidInput(f"view {spec.name} needs this column", field=name, remedy=nearest(name, rows.columns))
    known = merged(spec, view.source, entries(spec, view.source, timed(view.source, view.rows)))
    whole, groups = numbered(spec, known)
    changes = steps(spec, whole)
    asked = rows.select(pl.col(at).alias(AT), *(pl.col(name).cast(known.schema[name]) for name in spec.key))
    group = asked.join(groups, on=spec.key, how="left", maintain_order="left").get_column(GROUP).fill_null(NOWHERE)
    place = at_or_before(
        changes.get_column(GROUP).to_numpy(), changes.get_column(AT).to_numpy(), group.to_numpy(), asked[AT].to_numpy()
    )
    found = changes.drop(GROUP, AT).select(pl.all().gather(pl.Series(place).replace(NOWHERE, None)))
    return resolve(spec, found.with_columns(asked[AT]), AT)
