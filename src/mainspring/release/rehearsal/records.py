"""Rehearsals as they are kept: what was asked, of which rows, and what came of it; none is ever changed."""

from __future__ import annotations

import builtins

import msgspec
from sqlalchemy import insert, select

from mainspring.kernel.errors import NotFound
from mainspring.ledger.ports import Store
from mainspring.release.policy.checked import as_agreed
from mainspring.release.rehearsal.report import Rehearsal
from mainspring.release.tables import rehearsals


class Rehearsals:
    """Reads and writes the rows of rehearsals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, rehearsal_id: str) -> Rehearsal:
        """Return a rehearsal as it was reported."""
        with self._store.read() as connection:
            body = connection.scalar(select(rehearsals.c.body).where(rehearsals.c.id == rehearsal_id))
        if body is None:
            raise NotFound(
                "there is no such rehearsal", field="rehearsal", value=rehearsal_id,
                remedy="see: mainspring rehearsal list",
            )  # fmt: skip
        return _rehearsal(body)

    def list(self, model_id: str | None = None, *, newest: int = 100) -> builtins.list[Rehearsal]:
        """Return the newest rehearsals, the newest first: of one model, if asked."""
        query = select(rehearsals.c.body).order_by(rehearsals.c.at_us.desc(), rehearsals.c.id).limit(newest)
        if model_id is not None:
            query = query.where(rehearsals.c.model == model_id)
        with self._store.read() as connection:
            return [_rehearsal(row.body) for row in connection.execute(query)]

    def keep(self, model_id: str, found: Rehearsal) -> None:
        """Store a rehearsal together with its entry in the ledger."""
        with self._store.begin(found.by) as tx:
            tx.record(
                "release.rehearsed",
                found.id,
                f"{found.reason}: {found.sentence}",
                found.numbers(),
                project=found.project,
            )
            tx.connection.execute(
                insert(rehearsals).values(
                    id=found.id, model=model_id, project=found.project, at_us=found.at_us, body=_json(found)
                )
            )


def _rehearsal(body: str) -> Rehearsal:
    with as_agreed():
        return msgspec.json.decode(body, type=Rehearsal)


def _json(found: Rehearsal) -> str:
    return msgspec.json.encode(found).decode()
