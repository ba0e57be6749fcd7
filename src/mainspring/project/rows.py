"""The newest revision as rows that the other folders read: sources, views, models."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from mainspring.features.spec import CsvReader, ParquetReader, SourceSpec, ViewSpec
from mainspring.features.tables import sources as source_rows
from mainspring.features.tables import views as view_rows
from mainspring.kernel.ids import new_id
from mainspring.ledger.transaction import Transaction
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.registry.tables import models as model_rows
from mainspring.registry.tables import projects as project_rows


def write_rows(
    tx: Transaction, revision: Revision, root: Path, needed: Collection[str], last: Revision | None = None
) -> str:
    """Make a revision the newest one and return the project's id; ``needed`` views stay fed though undeclared.

    A policy of releases that was set by hand stands where what is declared is the same as in the ``last`` revision.
    """
    project = _project_id(tx, revision.project)
    statement = update(project_rows).where(project_rows.c.id == project)
    tx.connection.execute(statement.values(revision=revision.digest()))
    ids = _sources(tx.connection, project, revision, root)
    _views(tx, project, revision, ids, needed)
    _models(tx, project, revision, last)
    _let_go(tx.connection, project, ids)
    return project


def undeclared_model(tx: Transaction, project: str, name: str) -> str:
    """Return the id of a model that no declaration describes; make its row if there is none."""
    owner = _project_id(tx, project)
    query = select(model_rows.c.id).where(model_rows.c.project == owner, model_rows.c.name == name)
    id = tx.connection.scalar(query)
    if id is None:
        id = new_id("mod")
        values = {"id": id, "project": owner, "name": name, "checks": "[]", "monitors": "[]", "created_us": tx.at_us}
        tx.connection.execute(insert(model_rows).values(**values))
    return str(id)


def _project_id(tx: Transaction, name: str) -> str:
    id = tx.connection.scalar(select(project_rows.c.id).where(project_rows.c.name == name))
    if id is None:
        id = new_id("prj")
        tx.connection.execute(insert(project_rows).values(id=id, name=name, created_us=tx.at_us))
    return str(id)


def _sources(connection: Connection, project: str, revision: Revision, root: Path) -> dict[str, str]:
    """Write the rows of sources and return their ids by name; what was read of a source stays read."""
    rows = connection.execute(select(source_rows.c.name, source_rows.c.id).where(source_rows.c.project == project))
    ids = {row.name: row.id for row in rows}
    for source in revision.sources:
        spec = msgspec.json.encode(_rooted(source, root)).decode()
        if source.name in ids:
            connection.execute(update(source_rows).where(source_rows.c.id == ids[source.name]).values(spec=spec))
        else:
            ids[source.name] = new_id("src")
            values = {"id": ids[source.name], "project": project, "name": source.name, "spec": spec}
            connection.execute(insert(source_rows).values(**values))
    return {source.name: ids[source.name] for source in revision.sources}


def _rooted(source: SourceSpec, root: Path) -> SourceSpec:
    """Return the source with its file's whole path: who reads it later does not know the project's folder."""
    if not isinstance(source.reader, (ParquetReader, CsvReader)):
        return source
    reader = msgspec.structs.replace(source.reader, path=str(root / source.reader.path))
    return msgspec.structs.replace(source, reader=reader)


def _views(tx: Transaction, project: str, revision: Revision, ids: dict[str, str], needed: Collection[str]) -> None:
    """Write the rows of views. Views of older revisions stay fed while a version needs them."""
    connection = tx.connection
    declared: dict[str, ViewSpec] = {}
    for view in revision.views:
        source = revision.source(view.source)
        if source is not None:
            declared[view.digest(source, ids[view.source])] = view
    have = set(connection.scalars(select(view_rows.c.digest).where(view_rows.c.project == project)))
    for digest in have - declared.keys() - set(needed):
        connection.execute(delete(view_rows).where(view_rows.c.project == project, view_rows.c.digest == digest))
    for digest, view in declared.items():
        row = view_rows.c.digest == digest, view_rows.c.project == project
        if digest not in have:
            values = {"digest": digest, "project": project, "name": view.name, "source": ids[view.source]}
            spec = msgspec.json.encode(view).decode()
            connection.execute(insert(view_rows).values(**values, spec=spec, fed_since_us=tx.at_us))
        elif _overtaken(connection, project, view.name, digest):
            connection.execute(update(view_rows).where(*row).values(fed_since_us=tx.at_us))


def _overtaken(connection: Connection, project: str, name: str, digest: str) -> bool:
    """Say whether another view of that name is the newest, so that a definition that comes back must become it."""
    query = select(view_rows.c.digest).where(view_rows.c.project == project, view_rows.c.name == name)
    return bool(connection.scalar(query.order_by(view_rows.c.fed_since_us.desc()).limit(1)) != digest)


def _models(tx: Transaction, project: str, revision: Revision, last: Revision | None) -> None:
    """Write the rows of models. A model that is declared no more keeps answering, but is not made again or watched."""
    connection = tx.connection
    rows = connection.execute(select(model_rows.c.name, model_rows.c.id).where(model_rows.c.project == project))
    ids = {row.name: row.id for row in rows}
    declared = {entry.spec.name: entry.release for entry in last.models} if last is not None else {}
    for entry in revision.models:
        values = _model_values(entry, revision.digest())
        if entry.spec.name in ids:
            if entry.spec.name in declared and declared[entry.spec.name] == entry.release:
                del values["release"]
            connection.execute(update(model_rows).where(model_rows.c.id == ids[entry.spec.name]).values(**values))
        else:
            new = {"id": new_id("mod"), "project": project, "name": entry.spec.name, "created_us": tx.at_us}
            connection.execute(insert(model_rows).values(**new, **values))
    gone = ids.keys() - {entry.spec.name for entry in revision.models}
    for name in gone:
        connection.execute(update(model_rows).where(model_rows.c.id == ids[name]).values(retrain=None, monitors="[]"))


def _model_values(entry: ModelEntry, revision: str) -> dict[str, Any]:
    def encoded(value: Any) -> str:
        return msgspec.json.encode(value).decode()

    return {
        "spec": encoded(entry.spec),
        "checks": encoded(entry.checks),
        "release": encoded(entry.release) if entry.release else None,
        "monitors": encoded(entry.monitors),
        "retrain": encoded(entry.retrain) if entry.retrain else None,
        "revision": revision,
    }


def _let_go(connection: Connection, project: str, declared: dict[str, str]) -> None:
    """Remove sources that are neither declared nor read by a view that is still fed."""
    read = set(connection.scalars(select(view_rows.c.source).where(view_rows.c.project == project)))
    rows = connection.scalars(select(source_rows.c.id).where(source_rows.c.project == project))
    for id in set(rows) - read - set(declared.values()):
        connection.execute(delete(source_rows).where(source_rows.c.id == id))
