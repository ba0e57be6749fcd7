"""What is known about a key, as a project declares it: views and their features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from mainspring.features.spec import Feature
from mainspring.kernel.duration import parse_duration, show_duration
from mainspring.project.collection import Declaration, Faulty, fault
from mainspring.project.given import (
    checked_name,
    names,
    reference,
    span_us,
    text,
)
from mainspring.project.source import Source

_MICROSECOND = timedelta(microseconds=1)
_OPERATORS = {">=": " ge ", "<=": " le ", "!=": " ne ", "<>": " ne ", ">": " gt ", "<": " lt ", "=": " eq "}


class FeatureView(metaclass=Declaration):
    """Name features of one source by key. ``ttl`` is the oldest row that ``ms.last`` may use.

    >>> import mainspring as ms
    >>> flights = ms.Source("flights", "flights.parquet", time="sched_dep", known_at="landed_at", key="flight_id")
    >>> recent = ms.FeatureView("recent", source=flights, key="origin", features=[ms.share("delay > 15", over="3h")])
    >>> [feature.name for feature in recent.features]
    ['share_delay_gt_15_3h']
    """

    broken: bool

    def __init__(
        self,
        name: str,
        *,
        source: Source | str,
        key: str | Sequence[str],
        features: Sequence[Feature],
        ttl: str | None = None,
    ) -> None:
        place = f"FeatureView({name!r})"
        self.name = checked_name(place, name)
        self.source = reference(f"{place}.source", source, Source)
        self.key = names(f"{place}.key", key)
        self.ttl_us = span_us(f"{place}.ttl", ttl)
        self.features = _features(f"{place}.features", features)
        if not self.key:
            fault("is empty", field=f"{place}.key", remedy="name the columns that features are looked up by")


def last(column: str, *, name: str | None = None) -> Feature:
    """Take the value of ``column`` in the newest row of a key, called ``last_<column>`` unless named."""
    column = text("last.column", column)
    return Feature(name or derived("last", column), "last", column=column)


def mean(column: str, *, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at") -> Feature:
    """Take the mean of the non-missing values of ``column`` in a window that ends at the moment of prediction."""
    column = text("mean.column", column)
    return Feature(name or derived("mean", column, over), "mean", column=column, over_us=_over(over), by=by)


def count(*, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at") -> Feature:
    """Count the rows of a key in a window that ends at the moment of prediction."""
    return Feature(name or derived("count", "", over), "count", over_us=_over(over), by=by)


def share(
    condition: str, *, over: str, name: str | None = None, by: Literal["known_at", "time"] = "known_at"
) -> Feature:
    """Take the share of a key's rows in a window for which a Polars SQL condition holds, where it is not missing."""
    condition = text("share.condition", condition)
    called = name or derived("share", condition, over)
    return Feature(called, "share", condition=condition, over_us=_over(over), by=by)


def derived(kind: str, what: str, over: str = "") -> str:
    """Return the name of a feature that was not given one.

    >>> derived("share", "arr_delay > 15", "3h"), derived("last", "temp")
    ('share_arr_delay_gt_15_3h', 'last_temp')
    """
    for sign, word in _OPERATORS.items():
        what = what.replace(sign, word)
    words = re.sub(r"[^a-z0-9]+", "_", what.lower()).strip("_")
    span = show_duration(parse_duration(over, field=f"{kind}.over")).replace(".", "_") if over else ""
    return "_".join(part for part in (kind, words, span) if part)


def _features(field: str, features: Any) -> tuple[Feature, ...]:
    if isinstance(features, Faulty):
        return ()
    if not isinstance(features, (list, tuple)):
        fault("must be a list of features", field=field, value=features, remedy="write it in square brackets")
        return ()
    good = []
    for feature in features:
        if isinstance(feature, Feature):
            checked_name(field, feature.name)
            good.append(feature)
        elif not isinstance(feature, Faulty):
            remedy = f"write ms.last({feature!r})" if isinstance(feature, str) else "use ms.last, mean, count or share"
            fault("is not a feature", field=field, value=feature, remedy=remedy)
    if not features:
        fault("is empty", field=field, remedy="use ms.last, mean, count or share")
    return tuple(good)


def _over(over: Any) -> int:
    return parse_duration(over, field="over") // _MICROSECOND
