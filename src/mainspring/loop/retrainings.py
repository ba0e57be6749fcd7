"""Retrainings as they are stored: each change of state is one transaction with its ledger entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mainspring.kernel.crashpoints import reached
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.loop.facts import OPEN_STATES, Retraining, RetrainingState
from mainspring.loop.tables import retrainings
from mainspring.registry.tables import models

ACTOR = "loop"


def propose(store: Store, model: str, trigger: str, reason: str, *, project: str) -> str:
    """Store a new retraining and return its id."""
    id = new_id("rtr")
    with store.begin(ACTOR) as tx:
        row = {"id": id, "model": model, "trigger": trigger, "state": "proposed", "reason": reason}
        tx.connection.execute(insert(retrainings).values(**row, proposed_us=tx.at_us, changed_us=tx.at_us))
        name = tx.connection.scalar(select(models.c.name).where(models.c.id == model))
        tx.record("retraining.proposed", id, reason, {"model": name, "trigger": trigger}, project=project)
    return id


def advance(
    store: Store,
    id: str,
    state: RetrainingState,
    reason: str,
    numbers: Mapping[str, Any],
    *,
    project: str,
    version: str | None = None,
    release: str | None = None,
) -> None:
    """Move a retraining to ``state``."""
    with store.begin(ACTOR) as tx:
        _advance(tx, id, state, reason, version, release)
        tx.record(f"retraining.{state}", id, reason, numbers, project=project)
        reached("loop.before_advance")


def _advance(
    tx: Transaction, id: str, state: RetrainingState, reason: str, version: str | None, release: str | None
) -> None:
    changed = {"version": version, "release": release}
    values = {name: value for name, value in changed.items() if value is not None}
    row = update(retrainings).where(retrainings.c.id == id)
    tx.connection.execute(row.values(state=state, reason=reason, changed_us=tx.at_us, **values))


def open_retraining(connection: Connection, model: str) -> Retraining | None:
    """Return the retraining of a model that is on its way, if there is one."""
    query = select(retrainings).where(retrainings.c.model == model, retrainings.c.state.in_(OPEN_STATES))
    row = connection.execute(query.order_by(retrainings.c.proposed_us.desc()).limit(1)).first()
    return _retraining(row) if row is not None else None


def last_proposed_us(connection: Connection, model: str) -> int | None:
    """Return when a retraining of the model was last proposed."""
    query = select(retrainings.c.proposed_us).where(retrainings.c.model == model)
    return connection.scalar(query.order_by(retrainings.c.proposed_us.desc()).limit(1))


def retrainings_of(connection: Connection, model: str, limit: int = 50) -> list[dict[str, Any]]:
    """Return the retrainings of a model as stored, newest first."""
    query = select(retrainings).where(retrainings.c.model == model).order_by(retrainings.c.proposed_us.desc())
    return [dict(row._asdict()) for row in connection.execute(query.limit(limit))]


def _retraining(row: Row[Any]) -> Retraining:
    return Retraining(row.id, row.trigger, row.state, row.proposed_us, row.version, row.release)
