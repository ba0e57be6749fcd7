"""Releases as they are stored: the record, its sums, and every decision taken."""

from __future__ import annotations

import builtins

import msgspec
from sqlalchemy import Connection, insert, select, update

from mainspring.kernel.errors import Conflict, NotFound
from mainspring.ledger.ports import Store
from mainspring.release.agreed import Agreed, agreed, keep
from mainspring.release.engine import Decision
from mainspring.release.evidence.gathered import Books
from mainspring.release.gather import Gathered, no_units, units_bytes, units_from
from mainspring.release.release import Record, record_of
from mainspring.release.tables import release_books, release_decisions, releases


class ChangedMeanwhile(Conflict):
    """Somebody else changed the release between reading and saving it."""


class Records:
    """Reads and writes the rows of releases; what is written belongs to the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, release_id: str) -> tuple[Record, int]:
        """Return a release as stored, and how often it was changed."""
        with self._store.read() as connection:
            row = connection.execute(select(releases).where(releases.c.id == release_id)).first()
        if row is None:
            raise NotFound(
                "there is no such release", field="release", value=release_id, remedy="see: mainspring release list"
            )
        return record_of(row.body), int(row.changes)

    def history(self, release_id: str) -> tuple[Decision, ...]:
        """Return the decisions of a release, oldest first."""
        query = (
            select(release_decisions.c.body)
            .where(release_decisions.c.release == release_id)
            .order_by(release_decisions.c.id)
        )
        with self._store.read() as connection:
            return tuple(msgspec.json.decode(row.body, type=Decision) for row in connection.execute(query))

    def agreed(self, release_id: str) -> tuple[Agreed, ...]:
        """Return the policies that a release ran by, oldest first."""
        with self._store.read() as connection:
            return agreed(connection, release_id)

    def books(self, release_id: str) -> Gathered:
        """Return what a release has counted."""
        with self._store.read() as connection:
            row = connection.execute(select(release_books).where(release_books.c.release == release_id)).one()
        units = units_from(row.units) if row.units else no_units()
        return Gathered(msgspec.json.decode(row.body, type=Books), units)

    def list(
        self,
        model_id: str | None,
        running: bool | None,
        *,
        status: str | None = None,
        newest: int | None = None,
        before: Record | None = None,
    ) -> builtins.list[Record]:
        """Return releases, oldest first: of one model, running or over, of one status, the newest few, if asked.

        ``before`` leaves out a release and all that started after it.
        """
        query = select(releases.c.body)
        if before is not None:
            started_us = before.state.started_us
            same = (releases.c.started_us == started_us) & (releases.c.id > before.id)
            query = query.where((releases.c.started_us < started_us) | same)
        if status is not None:
            query = query.where(releases.c.status == status)
        if newest is not None:
            query = query.order_by(releases.c.started_us.desc(), releases.c.id).limit(newest)
        if model_id is not None:
            query = query.where(releases.c.model == model_id)
        if running is not None:
            active = releases.c.status.in_(["running", "held"])
            query = query.where(active if running else ~active)
        with self._store.read() as connection:
            records = [record_of(row.body) for row in connection.execute(query)]
        if newest is not None:
            return records[::-1]
        # Of two that started at one moment, ids would say at random which steps first: version numbers do not.
        return sorted(records, key=lambda record: (record.state.started_us, record.challenger_number))

    def insert(self, connection: Connection, record: Record, books: Books) -> None:
        """Store a new release."""
        connection.execute(
            insert(releases).values(
                id=record.id,
                model=record.model,
                project=record.project,
                status=record.state.status,
                started_us=record.state.started_us,
                body=_json(record),
                changes=0,
            )
        )
        connection.execute(insert(release_books).values(release=record.id, body=_json(books), units=b""))
        keep(connection, record.id, record.policy, record.state.started_us, record.by, record.reason)

    def save(self, connection: Connection, record: Record, changes: int | None) -> None:
        """Store a changed release; refused if somebody changed it since it was read."""
        query = update(releases).where(releases.c.id == record.id)
        if changes is not None:
            query = query.where(releases.c.changes == changes)
        saved = connection.execute(
            query.values(
                status=record.state.status,
                ended_us=record.state.ended_us,
                body=_json(record),
                changes=releases.c.changes + 1,
            )
        )
        if saved.rowcount != 1:
            raise ChangedMeanwhile(
                "somebody else changed the release at the same time", field="release", value=record.id,
                remedy=f"look at it with: mainspring release show {record.id}, and ask again",
            )  # fmt: skip

    def change(self, connection: Connection, record: Record, decision: Decision, changes: int) -> None:
        """Store a release that goes on by another policy."""
        self.save(connection, record, changes)
        self.keep_decision(connection, record.id, decision)
        keep(connection, record.id, record.policy, decision.at_us, decision.by, decision.sentence)

    def save_books(self, connection: Connection, release_id: str, books: Gathered) -> None:
        """Store what was counted."""
        connection.execute(
            update(release_books)
            .where(release_books.c.release == release_id)
            .values(body=_json(books.books), units=units_bytes(books.units))
        )

    def keep_decision(self, connection: Connection, release_id: str, decision: Decision) -> None:
        """Store a decision."""
        connection.execute(
            insert(release_decisions).values(
                release=release_id, at_us=decision.at_us, kind=decision.kind, body=_json(decision)
            )
        )


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
