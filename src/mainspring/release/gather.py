"""Reading the log: only what has come since the last step, each kind of counting up to its own moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from mainspring.kernel.errors import Damaged
from mainspring.release.evidence.counting import count_drawn, count_drawn_labels, count_pairs, count_shadow
from mainspring.release.evidence.frames import (
    ROW,
    UNITS_SCHEMA,
    drawn_rows,
    drawn_units,
    first_requests,
    pairs,
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
    books = _rows(log, record, before.books, now_us)
    books = _too_late(log, record, _pairs(log, record, books, now_us), now_us)
    if record.state.stage == "canary":
        return _drawn(log, record, books, before.units, now_us)
    return Gathered(books, before.units)


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
    books = count_shadow(books, record.terms, shadow_failures(scored, record.champion, record.challenger))
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
    )


def _pairs(log: PredictionLog, record: Record, books: Books, now_us: int) -> Books:
    terms = record.terms
    until_us = now_us - INGEST_LAG_US - terms.horizon_us
    if until_us - books.pairs_us < pace_us(terms):
        return books
    versions = [record.champion, record.challenger, *([record.anchor] if record.anchor else [])]
    labelled = log.labelled(record.model, versions, books.pairs_us, until_us + 1, now_us)
    labelled = log.firm(_counted(labelled, record, books.pairs_us, until_us))
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
    terms = record.terms
    until_us = now_us - INGEST_LAG_US - terms.window_us
    labels_until_us = until_us - terms.horizon_us
    if until_us - books.drawn_us < pace_us(terms):
        return Gathered(books, units)
    oldest_us = min(books.drawn_us, books.drawn_labels_us)
    newest_us = until_us + terms.window_us
    assigned = _assigned(log, record, oldest_us, newest_us)
    labelled = log.labelled(record.model, [record.champion, record.challenger], oldest_us, newest_us + 1, now_us)
    fresh = assigned.filter((pl.col("decision_us") > books.drawn_us) & (pl.col("decision_us") <= until_us))
    units = pl.concat([units, first_requests(fresh, units)])
    for since_us, end_us, count in (
        (books.drawn_us, until_us, count_drawn),
        (books.drawn_labels_us, labels_until_us, count_drawn_labels),
    ):
        rows = windows(assigned, units, since_us, end_us, terms.window_us, record.state.share_changes)
        frame = drawn_rows(
            rows, labelled, record.champion, record.challenger, terms.horizon_us,
            absent_is_negative=terms.absent_is_negative,
        )  # fmt: skip
        books = count(books, terms, drawn_units(frame, terms.loss, terms.label_cut))
    books = msgspec.structs.replace(
        books, drawn_us=until_us, drawn_labels_us=max(books.drawn_labels_us, labels_until_us)
    )
    return Gathered(books, units)


def pace_us(terms: Terms) -> int:
    """Return how much must be new before labels are read again: E is looked at after every row, so nothing is lost."""
    return min(LONGEST_PACE_US, max(terms.hold_us // 4, 1))


def _assigned(log: PredictionLog, record: Record, since_us: int, until_us: int) -> pl.DataFrame:
    assigned = log.firm(log.assignments(record.model, release=record.id, since_us=since_us, until_us=until_us + 1))
    asked = log.requests(record.model, since_us=since_us, until_us=until_us + 1).select(*ROW, "entity", "unit")
    rows = assigned.select(*ROW, "arm", "propensity", "decision_us").join(asked, on=ROW, how="inner")
    return rows.with_columns(unit_hashes(rows["unit"]))


def _counted(frame: pl.DataFrame, record: Record, since_us: int, until_us: int) -> pl.DataFrame:
    rows = frame.filter((pl.col("decision_us") > since_us) & (pl.col("decision_us") <= until_us))
    return rows.filter(pl.col("generation") >= (record.state.generation or 0))
