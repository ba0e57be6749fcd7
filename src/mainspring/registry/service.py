"""The registry: projects, models, their versions, and where the aliases point now and pointed before."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Connection, Row, Select, func, insert, select, update

from mainspring.kernel.clock import Clock
from mainspring.kernel.errors import Damaged, InvalidInput, NotFound, Refused, unknown
from mainspring.kernel.ids import digest_of, new_id
from mainspring.ledger.chain import Entry
from mainspring.ledger.ports import Store
from mainspring.ledger.tables import ledger_entries
from mainspring.ledger.transaction import Transaction
from mainspring.log.ports import Blobs
from mainspring.registry.environment import mismatches
from mainspring.registry.environments import Environments
from mainspring.registry.model import ModelSpec
from mainspring.registry.tables import aliases, models, projects, versions
from mainspring.registry.version import HELD_OUT, Version


class ProjectRow(msgspec.Struct, frozen=True):
    """One project; ``revision`` is the digest of what was applied last."""

    id: str
    name: str
    revision: str | None = None


class ModelRow(msgspec.Struct, frozen=True):
    """One model as stored. ``checks``, ``release``, ``monitors`` and ``retrain`` are JSON of their own folders."""

    id: str
    project: str
    project_name: str
    name: str
    spec: ModelSpec | None
    checks: str = "[]"
    release: str | None = None
    monitors: str = "[]"
    retrain: str | None = None
    revision: str | None = None

    def declared(self) -> ModelSpec:
        """Return the declaration, or refuse for a model that was registered without a project."""
        if self.spec is None:
            raise Refused(
                "was registered without a declaration, so it cannot be trained here",
                field="model",
                value=self.name,
                remedy="declare it in a project and apply that",
            )
        return self.spec


class AliasMove(msgspec.Struct, frozen=True):
    """One stretch of an alias's history; ``version`` is empty where the alias was taken away."""

    alias: str
    version: str | None
    number: int | None
    since_us: int
    ledger_seq: int
    reason: str = ""


class Registry:
    """Keeps versions that never change and aliases whose every move is kept."""

    def __init__(self, *, store: Store, blobs: Blobs, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self.environments = Environments(store=store, blobs=blobs)

    def project(self, name: str) -> str:
        """Return the id of a project by its name (or its id)."""
        with self._store.read() as connection:
            rows = connection.execute(select(projects.c.id, projects.c.name)).all()
        for row in rows:
            if name in (row.name, row.id):
                return str(row.id)
        raise unknown("project", name, (row.name for row in rows))

    def projects(self) -> list[ProjectRow]:
        """Return every project, by name."""
        with self._store.read() as connection:
            rows = connection.execute(select(projects).order_by(projects.c.name)).all()
        return [ProjectRow(row.id, row.name, row.revision) for row in rows]

    def model(self, project: str | None, name: str) -> ModelRow:
        """Return a model by project and name, or by its id; without a project its name must be the only one."""
        with self._store.read() as connection:
            found = _models(connection)
        if project is not None:
            found = [row for row in found if project in (row.project, row.project_name)]
        matching = [row for row in found if name in (row.id, row.name)]
        if not matching:
            raise unknown("model", name, (row.name for row in found))
        if len(matching) > 1:
            owners = ", ".join(sorted(row.project_name for row in matching))
            raise InvalidInput("is in several projects", field="model", value=name, remedy=f"say which: {owners}")
        return matching[0]

    def models(self, project: str | None = None) -> list[ModelRow]:
        """Return all models, or those of one project (by name or id)."""
        with self._store.read() as connection:
            rows = _models(connection)
        return [row for row in rows if project is None or project in (row.project, row.project_name)]

    def register(self, tx: Transaction, version: Version, reason: str = "a version was made") -> Version:
        """Give ``version`` its number, digest and time, and store it.

        Raises ``Refused`` when its environment cannot be had here, and ``Damaged`` when a file of it is missing.
        """
        row = _model_by_id(tx.connection, version.model)
        self._check_files(version)
        self.demand_environment(version)
        content = [version.files, msgspec.to_builtins(version.signature), msgspec.to_builtins(version.environment)]
        content_digest = digest_of([*content, version.threshold, version.definitions])
        number = tx.connection.scalar(select(func.max(versions.c.number)).where(versions.c.model == version.model)) or 0
        stored = msgspec.structs.replace(
            version,
            id=version.id or new_id("ver"),
            number=number + 1,
            digest=content_digest,
            created_us=self._clock.now_us(),
        )
        tx.connection.execute(
            insert(versions).values(
                id=stored.id,
                model=stored.model,
                number=stored.number,
                digest=stored.digest,
                body=msgspec.json.encode(stored).decode(),
                created_us=stored.created_us,
            )
        )
        tx.record("version.registered", stored.id, reason, _shown(stored, row), project=row.project)
        return stored

    def version(self, id: str) -> Version:
        """Return a version by its id."""
        with self._store.read() as connection:
            row = connection.execute(select(versions.c.body).where(versions.c.id == id)).first()
        if row is None:
            raise NotFound("there is no such version", field="version", value=id)
        return _version(row)

    def versions(self, model_id: str, newest: int | None = None) -> list[Version]:
        """Return all versions of a model, or so many of the newest, oldest first."""
        query = select(versions.c.body).where(versions.c.model == model_id).order_by(versions.c.number.desc())
        with self._store.read() as connection:
            found = [_version(row) for row in connection.execute(query.limit(newest))]
        return found[::-1]

    def count_versions(self, model_id: str) -> int:
        """Return how many versions a model has."""
        query = select(func.count()).select_from(versions).where(versions.c.model == model_id)
        with self._store.read() as connection:
            return int(connection.scalar(query) or 0)

    def held_out(self, version: Version) -> pl.DataFrame | None:
        """Return the rows that its making held out, with the answers of a fit without them; None where none are kept.

        The columns are entity, at_us, known_us, label, score (number or list), champion_score, champion_seen, and
        ``input.<name>`` each.
        """
        blob = version.lineage.snapshots.get(HELD_OUT)
        return None if blob is None else pl.read_parquet(self._blobs.get(blob))

    def by_number(self, model_id: str, number: int) -> Version:
        """Return a version by its number within its model."""
        query = select(versions.c.body).where(versions.c.model == model_id, versions.c.number == number)
        with self._store.read() as connection:
            row = connection.execute(query).first()
            if row is not None:
                return _version(row)
            known = connection.scalars(select(versions.c.number).where(versions.c.model == model_id)).all()
        listed = ", ".join(str(one) for one in sorted(known)) or "none"
        raise NotFound("there is no such version", field="version", value=number, remedy=f"it has: {listed}")

    def alias(self, model_id: str, alias: str, at_us: int | None = None) -> Version | None:
        """Return what the alias points at, or pointed at in the moment ``at_us``; None where it points nowhere."""
        with self._store.read() as connection:
            target = _target(connection, model_id, alias, at_us)
        return self.version(target) if target else None

    def aliases(self, model_id: str) -> dict[str, Version]:
        """Return every alias of a model that points somewhere, with its version."""
        with self._store.read() as connection:
            names = connection.scalars(select(aliases.c.alias).where(aliases.c.model == model_id).distinct()).all()
            found = {name: _target(connection, model_id, name) for name in names}
        return {name: self.version(target) for name, target in found.items() if target}

    def point(
        self,
        tx: Transaction,
        model_id: str,
        alias: str,
        version_id: str | None,
        reason: str,
        numbers: dict[str, Any] | None = None,
    ) -> Entry | None:
        """Move an alias, or take it away with None; return the ledger entry, or None if it was there already."""
        row = _model_by_id(tx.connection, model_id)
        before = _target(tx.connection, model_id, alias)
        if before == version_id:
            return None
        entry = tx.record(
            "alias.moved",
            version_id or model_id,
            reason,
            {
                **(numbers or {}),
                "model": row.name,
                "alias": alias,
                "from": _number(tx.connection, before),
                "to": _owned_number(tx.connection, model_id, version_id),
            },
            project=row.project,
        )
        tx.connection.execute(
            insert(aliases).values(
                model=model_id, alias=alias, version=version_id, since_us=entry.at_us, ledger_seq=entry.seq
            )
        )
        return entry

    def set_release(self, tx: Transaction, model_id: str, policy: str) -> None:
        """Keep the policy, as JSON, by which a model's releases to come start."""
        tx.connection.execute(update(models).where(models.c.id == model_id).values(release=policy))

    def history(self, model_id: str, alias: str, newest: int | None = None) -> list[AliasMove]:
        """Return every move of an alias, or so many of the newest, oldest first."""
        query = (
            select(aliases, versions.c.number, ledger_entries.c.reason)
            .outerjoin(versions, versions.c.id == aliases.c.version)
            .outerjoin(ledger_entries, ledger_entries.c.seq == aliases.c.ledger_seq)
            .where(aliases.c.model == model_id, aliases.c.alias == alias)
            .order_by(aliases.c.id.desc())
        )
        with self._store.read() as connection:
            found = [
                AliasMove(row.alias, row.version, row.number, row.since_us, row.ledger_seq, row.reason or "")
                for row in connection.execute(query.limit(newest))
            ]
        return found[::-1]

    def latest_alias_us(self, model_id: str, alias: str) -> int | None:
        """Return when the alias was last moved."""
        moves = select(aliases.c.since_us).where(aliases.c.model == model_id, aliases.c.alias == alias)
        with self._store.read() as connection:
            newest = connection.scalar(moves.order_by(aliases.c.id.desc()).limit(1))
        return None if newest is None else int(newest)

    def demand_environment(self, version: Version) -> None:
        """Raise ``Refused`` where the environment that a version needs cannot be had here."""
        if self.environments.lock_of(version) is not None:
            return
        lock = version.environment.lock
        faults = [f"the lock {lock[:12]} is not approved"] if lock else mismatches(version.environment)
        raise Refused(
            f"the environment that it needs is not the one here: {'; '.join(faults)}",
            field="environment",
            remedy="approve a lock that holds it: mainspring environment approve LOCK WHEELS",
        )

    def _check_files(self, version: Version) -> None:
        if not version.files:
            raise InvalidInput("a version needs at least one file", field="files")
        for name, blob in version.files.items():
            if not self._blobs.has(blob):
                raise Damaged(
                    f"the blob of {name} is missing", field="files", value=blob, remedy="make the version again"
                )


def _models(connection: Connection) -> list[ModelRow]:
    return [_model(row) for row in connection.execute(_model_query())]


def _model_by_id(connection: Connection, model_id: str) -> ModelRow:
    row = connection.execute(_model_query().where(models.c.id == model_id)).first()
    if row is None:
        raise NotFound("there is no such model", field="model", value=model_id)
    return _model(row)


def _model_query() -> Select[Any]:
    return (
        select(models, projects.c.name.label("project_name"))
        .join(projects, projects.c.id == models.c.project)
        .order_by(projects.c.name, models.c.name)
    )


def _target(connection: Connection, model_id: str, alias: str, at_us: int | None = None) -> str | None:
    query = select(aliases.c.version).where(aliases.c.model == model_id, aliases.c.alias == alias)
    if at_us is not None:
        query = query.where(aliases.c.since_us <= at_us)
    return connection.scalar(query.order_by(aliases.c.id.desc()).limit(1))


def _number(connection: Connection, version_id: str | None) -> int | None:
    if version_id is None:
        return None
    return connection.scalar(select(versions.c.number).where(versions.c.id == version_id))


def _owned_number(connection: Connection, model_id: str, version_id: str | None) -> int | None:
    if version_id is None:
        return None
    row = connection.execute(select(versions.c.model, versions.c.number).where(versions.c.id == version_id)).first()
    if row is None or row.model != model_id:
        raise NotFound("the model has no such version", field="version", value=version_id)
    return int(row.number)


def _shown(version: Version, row: ModelRow) -> dict[str, Any]:
    return {
        "model": row.name,
        "number": version.number,
        "digest": version.digest,
        "runtime": version.runtime,
        "metrics": version.metrics,
        "recipe": version.lineage.recipe,
        "run": version.lineage.run,
        "largest_difference": version.parity.largest_difference if version.parity else None,
        "parity_rows": version.parity.rows if version.parity else None,
    }


def _version(row: Row[Any]) -> Version:
    return msgspec.json.decode(row.body, type=Version)


def _model(row: Row[Any]) -> ModelRow:
    return ModelRow(
        id=row.id,
        project=row.project,
        project_name=row.project_name,
        name=row.name,
        spec=msgspec.json.decode(row.spec, type=ModelSpec) if row.spec else None,
        checks=row.checks,
        release=row.release,
        monitors=row.monitors,
        retrain=row.retrain,
        revision=row.revision,
    )
