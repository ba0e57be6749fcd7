"""Reading the log: only what has come since the last step, each kind of counting up to its own moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from mainspring.checks.credit import credited
from mainspring.kernel.errors import Damaged
from mainspring.release.evidence.counting import count_drawn, count_drawn_labels, count_pairs, count_shadow
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.frames import (
    ROW,
    UNITS_SCHEMA,
    between,
    drawn_rows,
    drawn_units,
    first_requests,
    pairs,
    rewarded,
    shadow_failures,
    unit_hashes,
    windows,
)
from mainspring.release.evidence.gathered import Books
from mainspring.release.release import Record
from mainspring.release.terms import ANCHOR, QUALITY, Terms

if TYPE_CHECKING:
    from mainspring.log.queries import PredictionLog

INGEST_LAG_US = 60_000_000  # rows this young may still be on their way from the spool
LONGEST_PACE_US = 6 * 3_600_000_000
UNITS_FORMAT = b"\x01"


class Gathered(msgspec.Struct, frozen=True):
    """The books after a step and the units met so far."""

    books: Books
    units: pl.DataFrame


def no_units() -> pl.DataFrame:
    """Return an empty list of units."""
    return pl.DataFrame(schema=UNITS_SCHEMA)


def units_bytes(units: pl.DataFrame) -> bytes:
    """Return units as stored: a version byte, then little-endian pairs of hash and moment."""
    table = np.empty(units.height, dtype=[("unit_hash", "<u8"), ("first_us", "<i8")])
    table["unit_hash"], table["first_us"] = units["unit_hash"].to_numpy(), units["first_us"].to_numpy()
    return UNITS_FORMAT + table.tobytes()


def units_from(data: bytes) -> pl.DataFrame:
    """Read stored units."""
    if data[:1] != UNITS_FORMAT:
        raise Damaged("a release's units are in an unknown format", field="units", value=data[:1].hex())
    table = np.frombuffer(data[1:], dtype=[("unit_hash", "<u8"), ("first_us", "<i8")])
    columns = {name: np.ascontiguousarray(table[name]) for name in UNITS_SCHEMA}
    return pl.DataFrame(columns, schema=UNITS_SCHEMA)


def gather(log: PredictionLog, record: Record, before: Gathered, now_us: int) -> Gathered:
    """Return the books with everything that may be counted by now; nothing before the gateways took the release up."""
    if record.state.generation is None or record.state.over:
        return before
    if record.state.contest:
        return _several(log, record, before, now_us)
    books = _rows(log, record, before.books, now_us)
    books = _too_late(log, record, _pairs(log, record, books, now_us), now_us)
    if record.state.draws and record.state.stage != "kept":  # there everybody meets the challenger
        return _drawn(log, record, books, before.units, now_us)
    return Gathered(books, before.units)


def gather_until(log: PredictionLog, record: Record, books: Books, counted_us: Sequence[int]) -> Books:
    """Return the books counted in one go up to given moments of rows, pairs, drawn units: as a decision had them."""
    terms = record.terms
    rows_us, pairs_us, drawn_us, _ = counted_us
    if rows_us > books.rows_us:
        books = _rows(log, record, books, rows_us + INGEST_LAG_US)
    if pairs_us > books.pairs_us:
        books = _pairs(log, record, books, pairs_us + INGEST_LAG_US + terms.horizon_us)
    if drawn_us > books.drawn_us and record.state.draws and record.state.stage != "kept":
        now_us = drawn_us + INGEST_LAG_US + terms.window_us
        return _drawn(log, record, books, no_units(), now_us).books
    return books


def gather_several_until(log: PredictionLog, record: Record, books: Books, counted_us: Sequence[int]) -> Books:
    """Return the books of several challengers counted in one go up to given moments, as a decision had them."""
    rows_us, pairs_us, drawn_us, _ = counted_us
    arms = {
        one.version: gather_until(
            log,
            msgspec.structs.replace(record, challenger=one.version),
            books.arms[one.version],
            (rows_us, pairs_us, 0, 0),
        )
        for one in record.state.contest
    }
    books = msgspec.structs.replace(books, arms=arms)
    if record.state.stage == "shadow" or drawn_us <= books.drawn_us:
        return books
    now_us = drawn_us + INGEST_LAG_US + record.terms.window_us
    return _bandit(log, record, Gathered(books, no_units()), now_us).books


def _several(log: PredictionLog, record: Record, before: Gathered, now_us: int) -> Gathered:
    """Count each challenger that is in the running by itself, as if it were alone with the champion."""
    arms = dict(before.books.arms)
    for one in record.state.contest:
        alone = msgspec.structs.replace(record, challenger=one.version)
        arms[one.version] = _pairs(log, alone, _rows(log, alone, arms[one.version], now_us), now_us)
    books = _too_late(log, record, msgspec.structs.replace(before.books, arms=arms), now_us)
    firmless = sum(arms[one.version].best_effort_rows for one in record.state.contest)
    counted = Gathered(msgspec.structs.replace(books, best_effort_rows=firmless), before.units)
    return counted if record.state.stage == "shadow" else _bandit(log, record, counted, now_us)


def _rows(log: PredictionLog, record: Record, books: Books, now_us: int) -> Books:
    until_us = now_us - INGEST_LAG_US
    if until_us - books.rows_us < INGEST_LAG_US:
        return books
    scored = log.scored(
        record.model, versions=[record.champion, record.challenger], since_us=books.rows_us, until_us=until_us + 1
    )
    scored = _counted(scored, record, books.rows_us, until_us)
    firm = log.firm(scored)
    books = msgspec.structs.replace(books, best_effort_rows=books.best_effort_rows + scored.height - firm.height)
    scored = firm
    roles = ("shadow", "served") if record.state.stage == "kept" else ("shadow",)
    failures = shadow_failures(scored, record.champion, record.challenger, roles)
    books = count_shadow(books, record.terms, failures)
    answered_by_stable = scored.filter(
        (pl.col("version") == record.champion) & (pl.col("status") == "ok")
    ).unique(ROW).height  # fmt: skip
    theirs = scored.filter((pl.col("version") == record.challenger) & (pl.col("release") == record.id))
    answered = theirs.filter(
        (pl.col("role") == "served")
        & (pl.col("status") == "ok")
        & (pl.col("decision_us") > record.state.stage_since_us)
    )
    return msgspec.structs.replace(
        books,
        rows_us=until_us,
        step_requests=books.step_requests + answered.height,
        seen_rows=books.seen_rows + answered_by_stable,
    )


def _pairs(log: PredictionLog, record: Record, books: Books, now_us: int) -> Books:
    terms = record.terms
    until_us = now_us - INGEST_LAG_US - terms.horizon_us
    if until_us - books.pairs_us < pace_us(terms):
        return books
    versions = [record.champion, record.challenger, *([record.anchor] if record.anchor else [])]
    labelled = log.labelled(record.model, versions, books.pairs_us, until_us + 1, now_us)
    labelled = credited(log.firm(_counted(labelled, record, books.pairs_us, until_us)), terms.loss.metric)
    for name, stable in ((QUALITY, record.champion), (ANCHOR, record.anchor)):
        if stable is not None and (name == QUALITY or terms.gate(name) is not None):
            counted = pairs(
                labelled, stable, record.challenger, terms.horizon_us, absent_is_negative=terms.absent_is_negative
            )
            books = count_pairs(books, terms, name, counted)
    return msgspec.structs.replace(books, pairs_us=until_us)


def _too_late(log: PredictionLog, record: Record, books: Books, now_us: int) -> Books:
    """Count outcomes that came after their horizon: they are never evidence, but whoever waits should know of them."""
    if now_us - books.outcomes_us < pace_us(record.terms):
        return books
    late = log.too_late(record.model, record.state.started_us, books.outcomes_us + 1, now_us, record.terms.horizon_us)
    counted = books.too_late_outcomes + late
    return msgspec.structs.replace(books, too_late_outcomes=counted, outcomes_us=now_us)


def _drawn(log: PredictionLog, record: Record, books: Books, units: pl.DataFrame, now_us: int) -> Gathered:
    drawn = _read(log, record, books, units, [record.champion, record.challenger], now_us)
    if drawn is None:
        return Gathered(books, units)
    return Gathered(_count(books, record, drawn, drawn.assigned), drawn.units)


class _Drawn(msgspec.Struct, frozen=True):
    """What was drawn and came of it, read once for all challengers; until when units and their labels may count."""

    assigned: pl.DataFrame
    labelled: pl.DataFrame
    units: pl.DataFrame
    until_us: int
    labels_until_us: int


def _read(
    log: PredictionLog, record: Record, books: Books, units: pl.DataFrame, versions: list[str], now_us: int
) -> _Drawn | None:
    terms = record.terms
    until_us = now_us - INGEST_LAG_US - terms.window_us
    if until_us - books.drawn_us < pace_us(terms):
        return None
    oldest_us = min(books.drawn_us, books.drawn_labels_us)
    newest_us = until_us + terms.window_us
    assigned = _assigned(log, record, oldest_us, newest_us)
    labelled = credited(log.labelled(record.model, versions, oldest_us, newest_us + 1, now_us), terms.loss.metric)
    fresh = assigned.filter((pl.col("decision_us") > books.drawn_us) & (pl.col("decision_us") <= until_us))
    units = pl.concat([units, first_requests(fresh, units)])
    return _Drawn(assigned, labelled, units, until_us, until_us - terms.horizon_us)


def _count(books: Books, record: Record, drawn: _Drawn, assigned: pl.DataFrame) -> Books:
    """Add the units among ``assigned`` that met the record's challenger or its champion."""
    terms = record.terms
    for since_us, end_us, count in (
        (books.drawn_us, drawn.until_us, count_drawn),
        (books.drawn_labels_us, drawn.labels_until_us, count_drawn_labels),
    ):
        changes = _changes(record, since_us)
        rows = windows(assigned, drawn.units, since_us, end_us, terms.window_us, changes)
        frame = drawn_rows(
            rows, drawn.labelled, record.champion, record.challenger, terms.horizon_us,
            absent_is_negative=terms.absent_is_negative,
        )  # fmt: skip
        books = count(books, terms, drawn_units(frame, terms.loss, terms.label_cut, terms.judges))
    return _counted_until(books, drawn)


def _counted_until(books: Books, drawn: _Drawn) -> Books:
    return msgspec.structs.replace(
        books, drawn_us=drawn.until_us, drawn_labels_us=max(books.drawn_labels_us, drawn.labels_until_us)
    )


def _changes(record: Record, since_us: int) -> tuple[int, ...]:
    """Return the changes of shares that a unit's window could span; none where a unit asks once."""
    if record.terms.window_us == 0:
        return ()
    return tuple(one for one in record.state.share_changes if one >= since_us)


def _bandit(log: PredictionLog, record: Record, before: Gathered, now_us: int) -> Gathered:
    """Count each version's rewards, and each challenger against the champion among those that drew either."""
    books, contest = before.books, record.state.contest
    versions = [record.champion, *(one.version for one in contest)]
    drawn = _read(log, record, books, before.units, versions, now_us)
    if drawn is None:
        return before
    arms = dict(books.arms)
    for one in contest:
        alone = msgspec.structs.replace(record, challenger=one.version)
        either = between(drawn.assigned, record.champion, one.version)
        arms[one.version] = _count(arms[one.version], alone, drawn, either)
    earned = _earned(record, books, drawn, versions)
    books = _counted_until(msgspec.structs.replace(books, arms=arms, earned=earned), drawn)
    return Gathered(books, drawn.units)


def _earned(record: Record, books: Books, drawn: _Drawn, versions: list[str]) -> dict[str, Earned]:
    terms = record.terms
    since_us, end_us = books.drawn_labels_us, drawn.labels_until_us
    rows = windows(drawn.assigned, drawn.units, since_us, end_us, terms.window_us, _changes(record, since_us))
    units = rewarded(rows, drawn.labelled, terms.horizon_us, absent_is_negative=terms.absent_is_negative)
    half_life_us = terms.allocation.half_life_us if terms.allocation is not None else None
    open_still = drawn.assigned.filter(pl.col("decision_us") > end_us).group_by("arm").len()
    pending: dict[str, int] = dict(open_still.iter_rows())
    earned = {}
    for version in versions:
        met = units.filter(pl.col("arm") == version)
        known = met.filter(pl.col("reward").is_not_null())
        losses, _ = terms.loss.of(np.zeros(known.height), known["reward"].to_numpy().astype(np.float64))
        sums = books.earned.get(version, Earned()).add(
            terms.loss.worth(losses),
            known["propensity"].to_numpy().astype(np.float64),
            known["first_us"].to_numpy().astype(np.int64),
            half_life_us,
            missing=met.height - known.height,
        )
        earned[version] = msgspec.structs.replace(sums, pending=pending.get(version, 0))
    return earned


def pace_us(terms: Terms) -> int:
    """Return how much must be new before labels are read again: E is looked at after every row, so nothing is lost."""
    if terms.allocation is not None:
        return max(terms.allocation.update_us // 2, 1)
    return min(LONGEST_PACE_US, max(terms.hold_us // 4, 1))


def _assigned(log: PredictionLog, record: Record, since_us: int, until_us: int) -> pl.DataFrame:
    several = record.terms.strategy == "bandit"
    drawn = log.assignments(record.model, release=record.id, since_us=since_us, until_us=until_us + 1, actions=several)
    assigned = log.firm(drawn)
    asked = log.requests(record.model, since_us=since_us, until_us=until_us + 1).select(*ROW, "entity", "unit")
    columns = (*ROW, "arm", "propensity", "decision_us", *(("actions",) if several else ()))
    rows = assigned.select(columns).join(asked, on=ROW, how="inner")
    if record.terms.allocation is not None and record.terms.allocation.per == "request":
        rows = rows.with_columns(unit=pl.concat_str("prediction_id", pl.lit("."), pl.col("row").cast(pl.String)))
    return rows.with_columns(unit_hashes(rows["unit"]))


def _counted(frame: pl.DataFrame, record: Record, since_us: int, until_us: int) -> pl.DataFrame:
    rows = frame.filter((pl.col("decision_us") > since_us) & (pl.col("decision_us") <= until_us))
    return rows.filter(pl.col("generation") >= (record.state.generation or 0))
