"""Reading the prediction log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from mainspring.kernel.errors import NotFound
from mainspring.ledger.ports import Store
from mainspring.log.outcomes import newest_revisions
from mainspring.log.parts import list_parts, listed, span_of
from mainspring.log.personal import Personal
from mainspring.log.ports import PartRef, SourceShapes, Tables
from mainspring.log.pushed import KNOWN, plain_types
from mainspring.log.repeats import BACKDATED_US, COLUMNS, ROW, WINDOW_US, may_have_begun_before, nameless, repeated
from mainspring.log.rows import SCHEMAS, TIMES
from mainspring.log.tables import boots
from mainspring.log.tally import BOOT_OF, Tally, read_tallies

REQUESTS = (
    *("prediction_id", "row", "entity", "unit", "subject", "decision_us", "receipt_us", "body", "caller"),
    "idempotency_key",
)
ASSIGNMENTS = (
    *("prediction_id", "row", "release", "epoch", "generation", "salt", "draw", "arm", "propensity"),
    "decision_us",
)
SCORED = (
    *("prediction_id", "row", "version", "role", "status", "output", "decision_us", "latency_us", "generation"),
    *("release", "reason", "threshold", "decision", "vector", "parts"),
)
OUTCOMES = ("entity", "value", "label", "event_us", "known_us")


_ANSWERED = ("requests", "assignments", "scored")


class PredictionLog:
    """Answers from the tables what was asked, answered and came true. Moments are microseconds; ``until`` is exclusive.

    Evidence, drift, quality and replay all read this. What was asked again under one idempotency key is there once,
    as it was answered first; ``prediction`` finds the others, too.
    """

    def __init__(
        self, store: Store, tables: Tables, personal: Personal | None = None, shapes: SourceShapes | None = None
    ) -> None:
        self._store = store
        self._tables = tables
        self._personal = personal
        self._shapes = shapes
        self._keyed: dict[str, tuple[bool, bool]] = {}  # of a part, which never changes: has it keys, and of no entity

    def requests(self, model: str, since_us: int | None = None, until_us: int | None = None) -> pl.DataFrame:
        """Return the rows that were asked, by decision time; ``body`` is the row's exact JSON object."""
        return self._rows("requests", REQUESTS, model, since_us, until_us)

    def assignments(
        self,
        model: str,
        release: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        *,
        actions: bool = False,
    ) -> pl.DataFrame:
        """Return which arm each row drew, with its propensity; of one release, or of all.

        With ``actions`` also all that could have been drawn among several, with propensities, as JSON.
        """
        only = [pl.col("release") == release] if release is not None else []
        columns = (*ASSIGNMENTS, "actions") if actions else ASSIGNMENTS
        return self._rows("assignments", columns, model, since_us, until_us, only=only)

    def scored(
        self,
        model: str,
        versions: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
        release: str | None = None,
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        features: bool = False,
    ) -> pl.DataFrame:
        """Return what versions answered; with ``features`` also the looked-up features, as JSON, and typed outputs."""
        only = []
        if versions is not None:
            only.append(pl.col("version").is_in(list(versions)))
        if roles is not None:
            only.append(pl.col("role").is_in(list(roles)))
        if release is not None:
            only.append(pl.col("release") == release)
        columns = (*SCORED, "features", "typed") if features else SCORED
        return self._rows("scored", columns, model, since_us, until_us, only=only)

    def outcomes(self, model: str, known_until_us: int | None = None) -> pl.DataFrame:
        """Return the newest revision an entity known by ``known_until_us`` (inclusive): value, times, revision."""
        return newest_revisions(self._outcome_rows(model, known_until_us))

    def labelled(
        self,
        model: str,
        versions: Sequence[str] | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        known_until_us: int | None = None,
    ) -> pl.DataFrame:
        """Return scored rows with ``entity`` and ``unit``, and the outcome's ``value, label`` and times, or null."""
        scored = self.scored(model, versions, since_us=since_us, until_us=until_us)
        asked = self._rows("requests", ("prediction_id", "row", "entity", "unit"), model, since_us, until_us)
        joined = scored.join(asked, on=["prediction_id", "row"], how="left", maintain_order="left")
        came = self._outcome_rows(model, known_until_us)
        newest = newest_revisions(came.join(joined.select("entity").unique(), on="entity", how="semi"))
        labels = newest.select("entity", "value", "label", "event_us", "known_us")
        return joined.join(labels, on="entity", how="left", maintain_order="left")

    def source(self, source_id: str, known_until_us: int | None = None, since_us: int | None = None) -> pl.DataFrame:
        """Return a source's rows and ``_known_us``, of those known in ``[since_us, known_until_us]``; empty if none."""
        after = None if known_until_us is None else known_until_us + 1
        with self._tables.reading():
            with self._store.read() as connection:
                parts = listed(connection, f"source:{source_id}", since_us=since_us, until_us=after)
            if not parts:
                return pl.DataFrame(schema={KNOWN: pl.Int64()})
            rows = self._tables.scan(parts).filter(*_within(KNOWN, since_us, after)).collect()
        shape = self._shapes.shape(source_id) if self._shapes is not None else None
        if self._personal is None or shape is None or not shape.pii or not shape.subject:
            return rows
        return self._personal.open_columns(rows, shape.subject, shape.pii)

    def reading(self) -> AbstractContextManager[None]:
        """Hold what is listed: files whose paths are given to a worker stay until this ends, merged away or not."""
        return self._tables.reading()

    def source_parts(self, source_id: str) -> list[Path]:
        """Return the files of a source's rows in their order, for a worker that reads them itself."""
        with self._store.read() as connection:
            return self._tables.paths(listed(connection, f"source:{source_id}"))

    def source_digests(self, source_id: str) -> list[str]:
        """Return the digests of the files of :meth:`source_parts`: what a snapshot of the source is made of."""
        with self._store.read() as connection:
            return [part.digest for part in listed(connection, f"source:{source_id}")]

    def append_source(self, connection: Connection, source_id: str, frame: pl.DataFrame, now_us: int = 0) -> None:
        """Add rows that were read from a file or a query; they are there once the caller's transaction commits."""
        if not frame.height:
            return
        rows = plain_types(frame)
        shape = self._shapes.shape(source_id) if self._shapes is not None else None
        if self._personal is not None and shape is not None and shape.subject:
            rows = self._personal.without_erased(connection, rows, shape.subject, KNOWN)
            rows = self._personal.seal_columns(connection, rows, shape.subject, shape.pii)
        if not rows.height:
            return
        part = self._tables.write(f"source:{source_id}", rows)
        list_parts(connection, [(part, span_of(part.table, rows))], now_us)

    def prediction(self, prediction_id: str) -> dict[str, Any]:
        """Return everything about one prediction: requests, assignments, scored rows and outcomes, as lists of rows."""
        found = {table: self._of_prediction(table, prediction_id) for table in ("requests", "assignments", "scored")}
        asked = found["requests"]
        if not asked.height:
            raise NotFound("no such prediction is in the log", field="prediction", value=prediction_id)
        came = self.outcomes(asked["model"][0]).join(asked.select("entity").unique(), on="entity", how="semi")
        return {
            "id": prediction_id,
            "acknowledgement": self._policy_of(prediction_id),
            **{table: frame.rows(named=True) for table, frame in found.items()},
            "outcomes": came.rows(named=True),
        }

    def counts(self, model: str | None = None) -> dict[str, int]:
        """Return rows asked (``predictions``), entities with an outcome, rows by role, and bytes waiting in the spool.

        ``parked`` are entities whose outcome came but that no prediction asked about (yet); ``given_up`` are outcomes
        that waited for one until their horizon and were let go.
        """
        with self._store.read() as connection:
            tallies = read_tallies(connection)
        mine = [tally for tally in tallies if tally.model and model in (None, tally.model)]
        counted: dict[str, int] = {"predictions": _total(mine, "requests"), "assignments": _total(mine, "assignments")}
        for name in sorted({tally.name for tally in mine if tally.name.startswith("scored:")}):
            counted[name.removeprefix("scored:")] = _total(mine, name)
        for name in sorted({tally.name for tally in mine if tally.name.startswith("under:")}):
            counted[name.replace(":", "_")] = _total(mine, name)
        counted["given_up"] = _total(mine, "given_up")
        counted["outcomes"], counted["parked"] = self._outcome_counts(model)
        counted["spool_lag_bytes"] = _total([tally for tally in tallies if not tally.model], "spool")
        return counted

    def too_late(self, model: str, since_us: int, known_since_us: int, known_until_us: int, horizon_us: int) -> int:
        """Count rows decided from ``since_us`` on whose outcome became known in that span, after their horizon."""
        came = self._rows("outcomes", ("entity", "known_us"), model, known_since_us, known_until_us + 1)
        if not came.height:
            return 0
        asked = self._rows("requests", ("entity", "decision_us"), model, since_us)
        met = asked.join(came.group_by("entity").agg(pl.col("known_us").min()), on="entity", how="inner")
        return met.filter(pl.col("known_us") - pl.col("decision_us") > horizon_us).height

    def firm(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of predictions that were not logged under ``best_effort``: a crash may bias what is left."""
        with self._store.read() as connection:
            weak = connection.scalars(select(boots.c.boot).where(boots.c.acknowledgement == "best_effort")).all()
        if not weak:
            return rows
        return rows.filter(~pl.col("prediction_id").str.replace(BOOT_OF, "").is_in(list(weak)))

    def first_decision_us(self, model: str) -> int | None:
        """Return the first decision time of a model's requests."""
        return self._tally(model, "requests").first_us

    def last_outcome_us(self, model: str) -> int | None:
        """Return the last moment at which an outcome of the model became known."""
        return self._tally(model, "outcomes").last_us

    def _policy_of(self, prediction_id: str) -> str:
        boot = prediction_id.rpartition("-")[0]
        with self._store.read() as connection:
            said = connection.scalar(select(boots.c.acknowledgement).where(boots.c.boot == boot))
        return said or "batched"

    def _of_prediction(self, table: str, prediction_id: str) -> pl.DataFrame:
        """Look in the column of ids first: the parts that do not hold the prediction are never read whole."""
        here = pl.col("prediction_id") == prediction_id
        with self._tables.reading():
            with self._store.read() as connection:
                parts = listed(connection, table)
            ids = ((part, self._tables.scan([part], ["prediction_id"])) for part in parts)
            holding = [part for part, named in ids if named.filter(here).collect().height]
            if not holding:
                return pl.DataFrame(schema=SCHEMAS[table])
            found = self._tables.scan(holding).filter(here).sort("row", maintain_order=True).collect()
        return self._opened(found) if table == "requests" else found

    def _opened(self, requests: pl.DataFrame) -> pl.DataFrame:
        return requests if self._personal is None else self._personal.open_bodies(requests)

    def _tally(self, model: str, name: str) -> Tally:
        with self._store.read() as connection:
            found = [tally for tally in read_tallies(connection, model) if tally.name == name]
        return found[0] if found else Tally(model, name, 0)

    def _outcome_counts(self, model: str | None) -> tuple[int, int]:
        came = self._rows("outcomes", ("model", "entity"), model).unique()
        if not came.height:
            return 0, 0
        asked = self._rows("requests", ("model", "entity"), model)
        return came.height, came.join(asked, on=["model", "entity"], how="anti").height

    def _outcome_rows(self, model: str, known_until_us: int | None) -> pl.DataFrame:
        return self._rows("outcomes", OUTCOMES, model, None, None if known_until_us is None else known_until_us + 1)

    def _rows(
        self,
        table: str,
        columns: Sequence[str],
        model: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        *,
        only: Sequence[pl.Expr] = (),
    ) -> pl.DataFrame:
        sealed = table == "requests" and "body" in columns and self._personal is not None
        wanted = [*columns, "subject"] if sealed and "subject" not in columns else columns
        with self._tables.reading():
            rows = self._read(table, wanted, model, since_us, until_us, only)
        return self._opened(rows).select(columns) if sealed else rows

    def _read(
        self,
        table: str,
        columns: Sequence[str],
        model: str | None,
        since_us: int | None,
        until_us: int | None,
        only: Sequence[pl.Expr],
    ) -> pl.DataFrame:
        with self._store.read() as connection:
            parts = listed(connection, table, model=model, since_us=since_us, until_us=until_us)
        if not parts:
            return pl.DataFrame(schema={column: SCHEMAS[table][column] for column in columns})
        needed = dict.fromkeys((*columns, "model", TIMES[table]))
        filters = [*_within(TIMES[table], since_us, until_us), *only]
        if model is not None:
            filters.append(pl.col("model") == model)
        repeats = self._repeats(model, since_us, until_us) if table in _ANSWERED else None
        if repeats is not None:
            needed |= dict.fromkeys(ROW)
        rows = self._tables.scan(parts, list(needed))
        rows = rows.filter(*filters) if filters else rows
        if repeats is not None:
            rows = rows.join(repeats.lazy(), on=list(ROW), how="anti", maintain_order="left")
        return rows.select(columns).collect()

    def _repeats(self, model: str | None, since_us: int | None, until_us: int | None) -> pl.DataFrame | None:
        """Return rows that were asked again under their idempotency key; None where there are none.

        Looks as far back as attempts of one call follow one another: whatever the span, the same attempt is the first.
        """
        after_us = None if until_us is None else until_us + BACKDATED_US
        whole_from_us = None if since_us is None else since_us - WINDOW_US
        while True:
            asked = self._keyed_rows(model, None if whole_from_us is None else whole_from_us - BACKDATED_US, after_us)
            if asked is None:
                return None
            if since_us is None or whole_from_us is None or not may_have_begun_before(asked, whole_from_us, since_us):
                found = repeated(asked)
                return found if found.height else None
            whole_from_us -= WINDOW_US

    def _keyed_rows(self, model: str | None, from_us: int | None, until_us: int | None) -> pl.DataFrame | None:
        with self._store.read() as connection:
            parts = listed(connection, "requests", model=model, since_us=from_us, until_us=until_us)
        keyed = [part for part in parts if self._keys_of(part)[0]]
        if not keyed:
            return None
        columns = [*COLUMNS, "body"] if any(self._keys_of(part)[1] for part in keyed) else list(COLUMNS)
        return self._tables.scan(keyed, columns).filter(pl.col("idempotency_key") != "").collect()

    def _keys_of(self, part: PartRef) -> tuple[bool, bool]:
        """Return whether a part has rows with a key, and whether some of those are of a model without an entity."""
        if part.id not in self._keyed:
            keys = self._tables.scan([part], ["idempotency_key"]).collect()["idempotency_key"]
            has = bool((keys != "").any())
            self._keyed[part.id] = has, has and nameless(self._tables.scan([part], list(COLUMNS)).collect())
        return self._keyed[part.id]


def _within(column: str, since_us: int | None, until_us: int | None) -> list[pl.Expr]:
    bounds = []
    if since_us is not None:
        bounds.append(pl.col(column) >= since_us)
    if until_us is not None:
        bounds.append(pl.col(column) < until_us)
    return bounds


def _total(tallies: Sequence[Tally], name: str) -> int:
    return sum(tally.rows for tally in tallies if tally.name == name)
