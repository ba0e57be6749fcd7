"""What a user asks to be watched: drift of inputs, quality of answers, health of the service, silence."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest

METRICS = ("log_loss", "brier", "absolute_error", "squared_error")
_BUDGET = re.compile(r"(\d+)\s+per\s+(\S+)")


class Drift(msgspec.Struct, frozen=True, tag="drift", forbid_unknown_fields=True):
    """Watch the inputs and looked-up features of served rows, within a budget of false alarms.

    The budget is shared by all drift monitors of a project. ``features`` limits the watch to some columns
    (``dest``, ``origin_weather.temp``). The first ``reference`` of traffic is what later windows are compared with; a
    short one sees less: with 20 windows to rank among, a shift of one feature in four may never reach the budget.
    ``season`` is a rhythm that is taken out first. ``effect_floor`` (in standard deviations, or a share for
    categories) silences alarms too small to matter; it can never raise one.

    >>> Drift(budget="1 per 90d").budget_windows
    90.0
    """

    budget: str = "1 per 90d"
    features: tuple[str, ...] | None = None
    window: str = "1d"
    reference: str = "56d"
    season: str | None = "7d"
    effect_floor: float = 0.0
    rows_at_least: int = 30

    def __post_init__(self) -> None:
        parse_budget(self.budget)
        if self.reference_windows < 4:
            raise InvalidInput("must hold at least four windows", field="reference", value=self.reference)
        if self.season is not None and parse_duration(self.season, field="season") < self.window_span:
            raise InvalidInput("must not be shorter than the window", field="season", value=self.season)
        if self.effect_floor < 0:
            raise InvalidInput("must not be negative", field="effect_floor", value=self.effect_floor)
        _at_least("rows_at_least", self.rows_at_least, 2)

    @property
    def window_span(self) -> timedelta:
        """Return the length of one window."""
        return _positive(self.window, "window")

    @property
    def budget_windows(self) -> float:
        """Return the number of windows in which one false alarm is allowed."""
        return parse_budget(self.budget) / self.window_span

    @property
    def reference_windows(self) -> int:
        """Return the number of windows that make up the reference."""
        return int(_positive(self.reference, "reference") / self.window_span)

    @property
    def season_windows(self) -> int:
        """Return the number of windows in one season; 1 without a season."""
        return 1 if self.season is None else int(parse_duration(self.season, field="season") / self.window_span)


class Quality(msgspec.Struct, frozen=True, tag="quality", forbid_unknown_fields=True):
    """Watch the champion's mean loss on matured rows, against a running base rate and against an anchor version.

    It alarms when the advantage over the base rate falls by more than ``margin`` below what the champion showed in
    its first ``reference``, or when the anchor is better by more than ``margin`` on the same rows.

    >>> Quality("log_loss").budget_windows
    180.0
    """

    metric: Literal["log_loss", "brier", "absolute_error", "squared_error"] = "log_loss"
    margin: float = 0.01
    budget: str = "1 per 180d"
    window: str = "1d"
    reference: str = "14d"
    base_rate_over: str = "28d"
    bound: float | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            remedy = nearest(str(self.metric), METRICS)
            raise InvalidInput(
                "is not a bounded mean that can be watched", field="metric", value=self.metric, remedy=remedy
            )
        if not self.margin >= 0:
            raise InvalidInput("must not be negative", field="margin", value=self.margin)
        if self.bound is not None and not self.bound > 0:
            raise InvalidInput("must be positive", field="bound", value=self.bound)
        parse_budget(self.budget)
        for field in ("window", "reference", "base_rate_over"):
            _positive(getattr(self, field), field)

    @property
    def window_span(self) -> timedelta:
        """Return the length of one window."""
        return _positive(self.window, "window")

    @property
    def budget_windows(self) -> float:
        """Return the number of windows in which one false alarm is allowed."""
        return parse_budget(self.budget) / self.window_span

    @property
    def reference_windows(self) -> int:
        """Return the number of windows in which the champion shows what it can do."""
        return max(2, int(parse_duration(self.reference) / self.window_span))

    @property
    def base_rate_windows(self) -> int:
        """Return the number of past windows that the running base rate is taken over."""
        return max(1, int(parse_duration(self.base_rate_over) / self.window_span))


class Health(msgspec.Struct, frozen=True, tag="health", forbid_unknown_fields=True):
    """Watch the service: rows without an answer, rows answered by the fallback, slow rows, rows not yet ingested.

    Each ``…_share`` is what is still healthy; ``slow_ms`` is when a row counts as slow.

    >>> Health(slow_ms=200).failed_share
    0.001
    """

    failed_share: float = 0.001
    fallback_share: float = 0.01
    slow_share: float = 0.01
    slow_ms: float = 500.0
    lag_s: float = 300.0
    budget: str = "1 per 90d"
    window: str = "1h"

    def __post_init__(self) -> None:
        for field in ("failed_share", "fallback_share", "slow_share"):
            if not 0 < getattr(self, field) < 1:
                raise InvalidInput("must lie between 0 and 1", field=field, value=getattr(self, field))
        for field in ("slow_ms", "lag_s"):
            if not getattr(self, field) > 0:
                raise InvalidInput("must be positive", field=field, value=getattr(self, field))
        parse_budget(self.budget)
        _positive(self.window, "window")

    @property
    def window_span(self) -> timedelta:
        """Return the length of one window."""
        return _positive(self.window, "window")

    @property
    def budget_windows(self) -> float:
        """Return the number of windows in which one false alarm is allowed."""
        return parse_budget(self.budget) / self.window_span


class Silence(msgspec.Struct, frozen=True, tag="silence", forbid_unknown_fields=True):
    """Watch for no predictions, or no outcomes, where there should be some.

    Predictions are missed once the same hours of every one of the last ``weeks`` weeks brought ``expected_at_least``
    rows and now none came; outcomes once that many predictions matured and none of them was labelled.

    >>> Silence().expected_at_least
    20
    """

    expected_at_least: int = 20
    weeks: int = 4

    def __post_init__(self) -> None:
        _at_least("expected_at_least", self.expected_at_least, 1)
        _at_least("weeks", self.weeks, 1)


Monitor = Drift | Quality | Health | Silence


def decode_monitors(text: str | bytes) -> tuple[Monitor, ...]:
    """Read the monitors of a model as the registry keeps them.

    >>> decode_monitors('[{"type": "quality", "metric": "brier"}]')[0].metric
    'brier'
    """
    return msgspec.json.decode(text, type=tuple[Monitor, ...])


def kind_of(monitor: Monitor) -> str:
    """Return the word for a monitor in alarms, triggers and pages.

    >>> kind_of(Silence())
    'silence'
    """
    return str(type(monitor).__struct_config__.tag)


def parse_budget(text: str) -> timedelta:
    """Return the time in which one false alarm is allowed.

    >>> parse_budget("2 per 90d")
    datetime.timedelta(days=45)
    """
    match = _BUDGET.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise InvalidInput("is not a budget of alarms", field="budget", value=text, remedy="write it like '1 per 90d'")
    return _positive(match[2], "budget") / int(match[1])


def _positive(text: str, field: str) -> timedelta:
    span = parse_duration(text, field=field)
    if span <= timedelta(0):
        raise InvalidInput("must be longer than nothing", field=field, value=text)
    return span


def _at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise InvalidInput(f"must be at least {least}", field=field, value=value)
