"""The one definition of windows: how features of a key change over time, for joins and for tiles alike.

Each row of a source counts in a window over a half-open stretch of moments: from when it is known until it leaves the
window or a later revision of it is known. So a view is a step function of the moment for each key. ``steps`` computes
it: +1 where a row enters, -1 where it leaves, and running sums in between, in which counts stay whole numbers and sums
of floats are carried with their rounding error and end as the exact sum, rounded once (like ``math.fsum``).
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mainspring.features.exact import Floats, Ints, exact_sums
from mainspring.features.order import codes
from mainspring.features.rows import DTYPES, KNOWN, TIME
from mainspring.features.spec import Feature, SourceSpec, ViewSpec

GROUP = "_group"
AT = "_at_us"
UNTIL = "_until_us"
LAST_TIME = "_last_time_us"
_ROW = "_row"
_NEVER = np.iinfo(np.int64).max

_Window = tuple[int, Literal["known_at", "time"]]
_Number = TypeVar("_Number", np.int64, np.float64)


def entries(view: ViewSpec, source: SourceSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return what ``rows`` (timed) bring into a view: key, identity, both times, and what each feature takes of a row.

    Rows with a missing key belong to no key and are left out.
    """
    taken = [
        *(pl.col(name) for name in view.key),
        *(pl.col(name).alias(f"{_ROW}{place}") for place, name in enumerate(source.key)),
        pl.col(TIME),
        pl.col(KNOWN),
        *(_taken(feature, place) for place, feature in enumerate(view.features) if feature.kind != "count"),
    ]
    brought = rows.lazy().filter(pl.all_horizontal(pl.col(name).is_not_null() for name in view.key)).select(taken)
    kinds = brought.collect_schema()
    times = [name for name, dtype in kinds.items() if dtype == DTYPES["time"] and name.startswith("_f")]
    return brought.with_columns(pl.col(times).dt.epoch("us")).collect()


def merged(view: ViewSpec, source: SourceSpec, brought: pl.DataFrame) -> pl.DataFrame:
    """Return entries with repeats dropped and the moment from which each is revised (missing: not revised)."""
    identity = [f"{_ROW}{place}" for place in range(len(source.key))]
    one = brought.get_column(identity[0]) if len(identity) == 1 else brought.select(identity)
    if one.n_unique() == brought.height:
        return brought.with_columns(pl.lit(None, pl.Int64).alias(UNTIL))
    rest = [name for name in brought.columns if name not in (*identity, KNOWN)]
    ordered = brought.sort([*identity, KNOWN, *rest])
    once = ordered.unique(subset=[*identity, KNOWN], keep="first", maintain_order=True)
    return once.with_columns(pl.col(KNOWN).shift(-1).over(identity).alias(UNTIL))


def numbered(view: ViewSpec, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return merged entries with the number of their key in GROUP, and the keys with their numbers."""
    place = pl.col("_place").cast(pl.Int64).alias(GROUP)
    keys = known.select(view.key).unique(maintain_order=True).with_row_index("_place").select(*view.key, place)
    return known.join(keys, on=view.key, how="left"), keys


def steps(view: ViewSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the features of every group from each moment at which they change: one row a group and moment, in order.

    ``rows`` are merged and numbered entries. ``last`` columns hold the newest row known by then,
    and LAST_TIME its time: whether it is too old is for the reader to say, who knows the moment.
    """
    ordered = _ordered(view, rows)
    stream = _Stream(view, ordered)
    newest_known = stream.greatest(np.arange(ordered.height))
    columns = [
        pl.Series(GROUP, stream.group),
        pl.Series(AT, stream.at),
        ordered.get_column(KNOWN).gather(newest_known),
    ]
    if any(feature.kind == "last" for feature in view.features):
        newest = _newest(ordered, stream)
        columns.append(ordered.get_column(TIME).gather(newest).alias(LAST_TIME))
    for place, feature in enumerate(view.features):
        if feature.kind == "last":
            columns.append(ordered.get_column(taken_name(place)).gather(newest).alias(feature.name))
        else:
            columns.append(_windowed(feature, taken_name(place), ordered, stream).alias(feature.name))
    return pl.DataFrame(columns).filter(pl.Series(stream.final))


def horizon_us(view: ViewSpec) -> int | None:
    """Return how far back rows can matter: the widest window or the time to live; None if for ever."""
    spans = [feature.over_us for feature in view.features if feature.over_us is not None]
    if any(feature.kind == "last" for feature in view.features):
        if view.ttl_us is None:
            return None
        spans.append(view.ttl_us)
    return max(spans, default=0)


def taken_name(place: int) -> str:
    """Return the name of the column that holds what the feature at ``place`` takes of a row."""
    return f"_f{place}"


def _taken(feature: Feature, place: int) -> pl.Expr:
    name = taken_name(place)
    if feature.kind == "share":
        return pl.sql_expr(feature.condition or "").cast(pl.Int8).alias(name)
    column = pl.col(feature.column or "")
    if feature.kind == "mean":
        number = column.cast(pl.Float64)
        return pl.when(number.is_finite()).then(number).alias(name)
    return column.alias(name)


def _ordered(view: ViewSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows by group and known-at, without what no feature of the view asks for."""
    needed = [GROUP, KNOWN, TIME, UNTIL, *(name for name in rows.columns if name.startswith("_f"))]
    if any(feature.kind == "last" for feature in view.features):
        needed += [name for name in rows.columns if name.startswith(_ROW)]
    (code,) = codes([(rows.get_column(GROUP).to_numpy(), rows.get_column(KNOWN).to_numpy())])
    return rows.select(needed)[np.argsort(code)]


class _Stream:
    """All moments at which a view changes, in order: a row is known, or enters or leaves a window."""

    def __init__(self, view: ViewSpec, ordered: pl.DataFrame) -> None:
        self._rows = ordered.height
        group = ordered.get_column(GROUP).to_numpy()
        blocks = [ordered.get_column(KNOWN).to_numpy()]
        self.spans: dict[_Window, tuple[Ints, Ints]] = {}
        self._blocks: dict[_Window, tuple[int, int]] = {}
        for window in {_window(feature): None for feature in view.features if feature.kind != "last"}:
            enters, leaves = _span(window, ordered)
            entering = 0
            if window[1] == "time":
                entering = len(blocks)
                blocks.append(enters)
            self.spans[window] = (enters, leaves)
            self._blocks[window] = (entering, len(blocks))
            blocks.append(leaves)
        whole, at = np.concatenate([group] * len(blocks)), np.concatenate(blocks)
        (code,) = codes([(whole, at)])
        self.order = np.argsort(code, kind="stable")  # merges runs, and the blocks are runs
        self.group, self.at = whole[self.order], at[self.order]
        code = code[self.order]
        self.final = np.append(code[1:] != code[:-1], True)[: len(code)]  # a moment is complete at its last change

    def greatest(self, rank: Ints) -> Ints:
        """Return the greatest rank among the rows of the group known so far; ranks grow with the group."""
        ranks = np.zeros(len(self.order), np.int64)
        ranks[: self._rows] = rank
        greatest: Ints = np.maximum.accumulate(ranks[self.order])
        return greatest

    def count(self, window: _Window, counted: NDArray[np.bool_]) -> Ints:
        """Return how many of the counted rows are in the window at each moment."""
        return np.cumsum(self.changes(window, counted.astype(np.int64)))

    def changes(self, window: _Window, values: NDArray[_Number]) -> NDArray[_Number]:
        """Return what enters (plus) and leaves (minus) the window at each moment."""
        entering, leaving = self._blocks[window]
        changed = np.zeros(len(self.order), values.dtype)
        changed[entering * self._rows : (entering + 1) * self._rows] = values
        changed[leaving * self._rows : (leaving + 1) * self._rows] -= values
        arranged: NDArray[_Number] = changed[self.order]
        return arranged


def _window(feature: Feature) -> _Window:
    return (feature.over_us or 0, feature.by)


def _span(window: _Window, ordered: pl.DataFrame) -> tuple[Ints, Ints]:
    """Return the moments at which each row enters and leaves a window."""
    over_us, by = window
    known = ordered.get_column(KNOWN).to_numpy()
    if by == "time":
        happened = ordered.get_column(TIME).to_numpy()
        enters, leaves = np.maximum(known, happened), happened + over_us
    else:
        enters, leaves = known, known + over_us
    revised = ordered.get_column(UNTIL)
    if revised.null_count() < len(revised):
        leaves = np.minimum(leaves, revised.fill_null(_NEVER).to_numpy())
    return enters, np.maximum(enters, leaves)


def _newest(ordered: pl.DataFrame, stream: _Stream) -> Ints:
    """Return the row with the greatest (time, known-at) known so far at each moment; ties go by the row's key."""
    identity = [name for name in ordered.columns if name.startswith(_ROW)]
    by_age = ordered.with_row_index("place").sort([GROUP, TIME, KNOWN, *identity]).get_column("place").to_numpy()
    rank = np.empty(len(by_age), np.int64)
    rank[by_age] = np.arange(len(by_age))
    newest: Ints = by_age[stream.greatest(rank)]
    return newest


def _windowed(feature: Feature, taken: str, ordered: pl.DataFrame, stream: _Stream) -> pl.Series:
    window = _window(feature)
    if feature.kind == "count":
        return pl.Series(stream.count(window, np.ones(ordered.height, np.bool_)))
    values = ordered.get_column(taken)
    present = values.is_not_null().to_numpy()
    among = stream.count(window, present)
    if feature.kind == "share":
        total = stream.count(window, (values == 1).fill_null(False).to_numpy()).astype(np.float64)
    else:
        total = _sums(window, values.fill_null(0.0).to_numpy(), ordered, stream)
    quotient = np.divide(total, among, out=np.full(len(among), np.nan), where=among > 0)
    return pl.Series(quotient).fill_nan(None)


def _sums(window: _Window, values: Floats, ordered: pl.DataFrame, stream: _Stream) -> Floats:
    sums, doubtful = exact_sums(stream.changes(window, values), stream.count(window, values != 0.0))
    doubtful = doubtful[stream.final[doubtful]]
    if len(doubtful) == 0:
        return sums
    enters, leaves = stream.spans[window]
    group = ordered.get_column(GROUP).to_numpy()
    for place in doubtful:
        first, end = np.searchsorted(group, [stream.group[place], stream.group[place] + 1])
        at = stream.at[place]
        inside = (enters[first:end] <= at) & (at < leaves[first:end])
        sums[place] = math.fsum(values[first:end][inside])
    return sums
