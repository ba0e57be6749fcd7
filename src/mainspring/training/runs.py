"""Runs of recipes: what was asked for, how it ended, and the version that came of it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, insert, select

from mainspring.kernel.errors import unknown
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.registry.service import ModelRow
from mainspring.training.tables import training_runs


class Run(msgspec.Struct, frozen=True):
    """One run of a recipe. ``reused`` says that nothing had changed, so an earlier run's version is returned."""

    id: str
    model: str
    recipe: str
    status: str
    version: str | None
    number: int | None
    started_us: int
    finished_us: int
    reason: str
    numbers: dict[str, Any] = {}
    reused: bool = False


class Attempt(msgspec.Struct, frozen=True):
    """A run that has begun. ``key`` is the digest of all that goes into it."""

    id: str
    model: ModelRow
    recipe: str
    key: str
    started_us: int
    reason: str


class Runs:
    """The runs that ended, by model and by what went into them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, model_id: str) -> list[Run]:
        """Return the runs of a model, newest first."""
        query = select(training_runs).where(training_runs.c.model == model_id)
        with self._store.read() as connection:
            rows = connection.execute(query.order_by(training_runs.c.started_us.desc(), training_runs.c.id)).all()
        return [_run(row) for row in rows]

    def one(self, id: str) -> Run:
        """Return one run."""
        with self._store.read() as connection:
            row = connection.execute(select(training_runs).where(training_runs.c.id == id)).first()
            known = () if row is not None else connection.scalars(select(training_runs.c.id)).all()
        if row is None:
            raise unknown("run", id, known)
        return _run(row)

    def earlier(self, model_id: str, key: str) -> Run | None:
        """Return the newest run that made a version of the same."""
        query = select(training_runs).where(
            training_runs.c.model == model_id, training_runs.c.key == key, training_runs.c.status == "done"
        )
        with self._store.read() as connection:
            row = connection.execute(query.order_by(training_runs.c.finished_us.desc()).limit(1)).first()
        return None if row is None else _run(row)

    def end(
        self, tx: Transaction, attempt: Attempt, status: str, numbers: dict[str, Any], version: str | None = None
    ) -> None:
        """Store how an attempt ended, inside the caller's transaction."""
        tx.connection.execute(
            insert(training_runs).values(
                id=attempt.id,
                model=attempt.model.id,
                recipe=attempt.recipe,
                key=attempt.key,
                status=status,
                version=version,
                started_us=attempt.started_us,
                finished_us=tx.at_us,
                reason=attempt.reason,
                body=msgspec.json.encode(numbers).decode(),
            )
        )


def _run(row: Row[Any]) -> Run:
    numbers = msgspec.json.decode(row.body)
    return Run(
        id=row.id,
        model=row.model,
        recipe=row.recipe,
        status=row.status,
        version=row.version,
        number=numbers.get("number"),
        started_us=row.started_us,
        finished_us=row.finished_us,
        reason=row.reason,
        numbers=numbers,
    )
