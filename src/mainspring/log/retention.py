"""How long the log keeps what: by whole days, whole parts where that is possible, rows at the border.

Two rules: predictions and outcomes older than a model's day are let go, and an outcome that no prediction asked about
within its horizon is given up. What a running release may still count is never touched: the caller passes the day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import polars as pl
from sqlalchemy import select

from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.duration import DAY_US
from mainspring.ledger.ports import Store
from mainspring.log.parts import Span, listed, spanned
from mainspring.log.ports import Tables
from mainspring.log.rewriting import Replaced, changed, list_replaced, write_anew
from mainspring.log.rows import TIMES
from mainspring.log.tables import boots
from mainspring.log.tally import Tally, add_tallies, take_tallies, tallies_of, under_policies

ACTOR = "log"
GIVEN_UP = "given_up"
_OUTCOMES: dict[str, Any] = {"model": pl.String(), "entity": pl.String(), "known_us": pl.Int64()}


class Keep(msgspec.Struct, frozen=True):
    """From when on a model's rows are kept, and from when on outcomes that nobody asked about are waited with.

    None keeps everything. Both are moments in microseconds.
    """

    since_us: int | None = None
    parked_since_us: int | None = None


class Retained(msgspec.Struct, frozen=True):
    """What was let go, or would be: rows by table, outcomes given up, and how many parts went or were written anew."""

    rows: dict[str, int]
    given_up: int
    parts_dropped: int
    parts_rewritten: int
    since: dict[str, str]
    dry_run: bool = False

    @property
    def nothing(self) -> bool:
        return not self.rows and not self.given_up


def day_of(at_us: int) -> int:
    """Return the beginning of the UTC day of a moment.

    >>> day_of(2 * DAY_US + 5) == 2 * DAY_US
    True
    """
    return at_us // DAY_US * DAY_US


def keep_from(now_us: int, keep_us: int | None, *needed_us: int) -> int | None:
    """Return the day from which rows are kept: ``keep_us`` back, or earlier where something still needs them.

    >>> keep_from(10 * DAY_US + 7, 3 * DAY_US) == 7 * DAY_US
    True
    >>> keep_from(10 * DAY_US + 7, 3 * DAY_US, 5 * DAY_US + 3) == 5 * DAY_US
    True
    """
    return None if keep_us is None else day_of(min((now_us - keep_us, *needed_us)))


def fate(span: Span, since_us: Mapping[str, int]) -> Literal["kept", "gone", "border"]:
    """Return what happens to a part, as far as the list can tell.

    >>> fate(Span(10, 20, ("mod_1",)), {"mod_1": 21}), fate(Span(10, 20, ("mod_1",)), {"mod_1": 20})
    ('gone', 'border')
    >>> fate(Span(10, 20, ("mod_1",)), {"mod_1": 10}), fate(Span(10, 20, ("mod_1", "mod_2")), {"mod_1": 21})
    ('kept', 'border')
    """
    ends = [since_us.get(model) for model in span.models]
    if span.min_us is None or span.max_us is None or not any(end is not None and span.min_us < end for end in ends):
        return "kept"
    return "gone" if all(end is not None and span.max_us < end for end in ends) else "border"


def outdated(table: str, since_us: Mapping[str, int]) -> pl.Expr:
    """Return whether a row is older than its model's day."""
    if not since_us:
        return pl.lit(False)
    models = pl.col("model")
    ends = models.replace_strict(dict(since_us), default=None, return_dtype=pl.Int64)
    return (pl.col(TIMES[table]) < ends).fill_null(False)


class Letting:
    """Takes outdated rows and given-up outcomes out of frames, and counts what it took."""

    def __init__(self, since_us: Mapping[str, int], stale: pl.DataFrame, policies: Mapping[str, str]) -> None:
        self._since_us = since_us
        self._stale = stale
        self._policies = policies
        self.rows: dict[str, int] = {}
        self._given_up: dict[str, int] = {}
        self.tallies: list[Tally] = []

    def __call__(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        marked = frame.with_columns(_gone=outdated(table, self._since_us), _stale=pl.lit(False))
        if table == "outcomes" and self._stale.height:
            keys = ["model", "entity", "known_us"]
            stale = self._stale.with_columns(_stale=pl.lit(True))
            marked = marked.drop("_stale").join(stale, on=keys, how="left", maintain_order="left")
            marked = marked.with_columns(pl.col("_stale").fill_null(False) & ~pl.col("_gone"))
        goes = marked.select(goes=pl.col("_gone") | pl.col("_stale"))["goes"]
        if not goes.any():
            return frame
        self._count(table, frame.filter(goes), marked.filter("_stale"))
        return frame.filter(~goes)

    @property
    def given_up(self) -> int:
        return sum(self._given_up.values())

    def given_up_tallies(self) -> list[Tally]:
        """Return how many outcomes of each model were given up, to be added to those before."""
        return [Tally(model, GIVEN_UP, rows) for model, rows in self._given_up.items()]

    def _count(self, table: str, dropped: pl.DataFrame, stale: pl.DataFrame) -> None:
        for model, rows in stale.group_by("model").len().iter_rows():
            self._given_up[model] = self._given_up.get(model, 0) + rows
        if dropped.height > stale.height:
            self.rows[table] = self.rows.get(table, 0) + dropped.height - stale.height
        self.tallies += tallies_of(table, dropped)
        if table == "requests":
            self.tallies += under_policies(dropped, self._policies)


class Retention:
    """Lets rows of the log go. The caller keeps others from changing the list of parts meanwhile."""

    def __init__(self, store: Store, tables: Tables) -> None:
        self._store = store
        self._tables = tables

    def run(
        self, keep: Mapping[str, Keep], now_us: int, *, dry_run: bool = False, by: str = ACTOR, reason: str = ""
    ) -> Retained:
        """Let go what no model keeps any more; with ``dry_run`` only say what that would be."""
        since_us = {model: one.since_us for model, one in keep.items() if one.since_us is not None}
        stale = self._stale(keep)
        with self._store.read() as connection:
            policies = {row.boot: row.acknowledgement for row in connection.execute(select(boots))}
            chosen = [
                part
                for part, span in spanned(connection, TIMES)
                if fate(span, since_us) != "kept" or (part.table == "outcomes" and stale.height)
            ]
        letting = Letting(since_us, stale, policies)
        changes = changed(self._tables, chosen, letting)
        if dry_run:
            sizes = [after.height for _, after in changes]
            replaced = []
        else:
            replaced = write_anew(self._tables, changes)
            sizes = [0 if one.new is None else one.new.rows for one in replaced]
        found = Retained(
            rows=letting.rows,
            given_up=letting.given_up,
            parts_dropped=sizes.count(0),
            parts_rewritten=len(sizes) - sizes.count(0),
            since={model: show_time(from_us(at)) for model, at in since_us.items()},
            dry_run=dry_run,
        )
        if replaced:
            self._commit(replaced, letting, found, since_us, now_us, by, reason)
        return found

    def _commit(
        self,
        replaced: Sequence[Replaced],
        letting: Letting,
        found: Retained,
        since_us: Mapping[str, int],
        now_us: int,
        by: str,
        why: str,
    ) -> None:
        what = "rows older than what is kept were let go"
        with self._store.begin(by) as tx:
            list_replaced(tx.connection, replaced, now_us)
            take_tallies(tx.connection, letting.tallies, since_us)
            add_tallies(tx.connection, letting.given_up_tallies())
            numbers = {**found.rows, "given_up": found.given_up, "since": found.since}
            tx.record("log.retained", "log", f"{what}: {why}" if why else what, numbers)
        reached("retain.after_commit")
        self._tables.drop([one.old for one in replaced])

    def _stale(self, keep: Mapping[str, Keep]) -> pl.DataFrame:
        """Return outcomes that were known before their model's horizon and that no prediction asked about."""
        waited = {model: one.parked_since_us for model, one in keep.items() if one.parked_since_us is not None}
        found = [self._unasked(model, until_us) for model, until_us in waited.items()]
        return pl.concat(found) if found else pl.DataFrame(schema=_OUTCOMES)

    def _unasked(self, model: str, until_us: int) -> pl.DataFrame:
        with self._tables.reading():
            with self._store.read() as connection:
                came = listed(connection, "outcomes", model=model, until_us=until_us)
                asked = listed(connection, "requests", model=model)
            if not came:
                return pl.DataFrame(schema=_OUTCOMES)
            mine = pl.col("model") == model
            old = self._tables.scan(came, list(_OUTCOMES)).filter(mine & (pl.col("known_us") < until_us)).unique()
            if not asked:
                return old.collect()
            known = self._tables.scan(asked, ["model", "entity"]).filter(mine).select("entity").unique()
            return old.join(known, on="entity", how="anti").collect()
