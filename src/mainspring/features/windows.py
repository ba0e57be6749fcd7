"""The one definition of windows: how features of a key change over time, for joins and for tiles alike.

Each row of a source counts in a window over a half-open stretch of moments: from when it is known until it leaves the
window or a later revision of it is known. So a view is a step function of the moment for each key. ``steps`` computes
it: +1 where a row enters, -1 where it leaves, and running sums in between, in which counts stay whole numbers and sums
of floats are carried with their rounding error and end as the exact sum, rounded once (like ``math.fsum``).
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

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

    What a share or a mean takes is missing as -1 or NaN. Times are taken as microseconds.
    """
    taken = [
        *(pl.col(name) for name in view.key),
        *(pl.col(name).alias(f"{_ROW}{place}") for place, name in enumerate(source.key)),
        pl.col(TIME),
        pl.col(KNOWN),
        *(_taken(feature, place) for place, feature in enumerate(view.features) if feature.kind != "count"),
    ]
    brought = rows.select(taken)
    times = [name for name, dtype in brought.schema.items() if dtype == DTYPES["time"] and name.startswith("_f")]
    return brought.with_columns(pl.col(times).dt.epoch("us")) if times else brought


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


def numbered(
    view: ViewSpec, known: pl.DataFrame, only: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return merged entries with the number of their key in GROUP, and the keys with their numbers.

    ``only`` holds the keys that are asked for (all if not given). Rows with a missing key belong to none.
    """
    place = pl.int_range(pl.len(), dtype=pl.Int64).alias(GROUP)
    wanted = (known if only is None else only).lazy().select(view.key).drop_nulls().unique()
    keys = wanted.select(*view.key, place).collect()
    return known.join(keys, on=view.key, how="inner"), keys


def steps(view: ViewSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the features of every group from each moment at which they change: one row a group and moment, in order.

    ``rows`` are merged and numbered entries. ``last`` columns hold the newest row known by then, and LAST_TIME its
    time: whether it is too old is for the reader to say, who knows the moment. Missing means and shares are NaN.
    """
    ordered = _ordered(view, rows)
    stream = _Stream(view, ordered)
    final = np.flatnonzero(stream.final)
    newest_known = stream.greatest(np.arange(ordered.height))[final]
    columns: dict[str, Any] = {GROUP: stream.group[final], AT: stream.at[final]}
    columns[KNOWN] = ordered.get_column(KNOWN).to_numpy()[newest_known]
    if any(feature.kind == "last" for feature in view.features):
        newest = _newest(ordered, stream)[final]
        columns[LAST_TIME] = ordered.get_column(TIME).to_numpy()[newest]
    for place, feature in enumerate(view.features):
        if feature.kind == "last":
            columns[feature.name] = ordered.get_column(taken_name(place)).gather(newest)
        else:
            columns[feature.name] = _windowed(feature, taken_name(place), ordered, stream)[final]
    return pl.DataFrame(columns)


def taken_name(place: int) -> str:
    """Return the name of the column that holds what the feature at ``place`` takes of a row."""
    return f"_f{place}"


def _taken(feature: Feature, place: int) -> pl.Expr:
    name = taken_name(place)
    if feature.kind == "share":
        return pl.sql_expr(feature.condition or "").cast(pl.Int8).fill_null(-1).alias(name)
    column = pl.col(feature.column or "")
    if feature.kind == "mean":
        number = column.cast(pl.Float64)
        return pl.when(number.is_finite()).then(number).otherwise(float("nan")).alias(name)
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


def _windowed(feature: Feature, taken: str, ordered: pl.DataFrame, stream: _Stream) -> Ints | Floats:
    window = _window(feature)
    if feature.kind == "count":
        return stream.count(window, np.ones(ordered.height, np.bool_))
    values = ordered.get_column(taken).to_numpy()
    if feature.kind == "share":
        among = stream.count(window, values >= 0)
        total = stream.count(window, values > 0).astype(np.float64)
    else:
        among = stream.count(window, ~np.isnan(values))
        total = _sums(window, np.nan_to_num(values), ordered, stream)
    quotient: Floats = np.divide(total, among, out=np.full(len(among), np.nan), where=among > 0)
    return quotient


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
