"""Shapes of sources as ``apply`` stored them."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from mainspring.features.spec import SourceSpec
from mainspring.features.tables import sources
from mainspring.ledger.ports import Store
from mainspring.log.ports import SourceShape
from mainspring.registry.model import ModelSpec
from mainspring.registry.tables import models


class StoredSourceShapes:
    """Reads a source's shape from the metadata store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shape(self, source: str) -> SourceShape | None:
        with self._store.read() as connection:
            stored = connection.scalar(select(sources.c.spec).where(sources.c.id == source))
        if stored is None:
            return None
        spec = msgspec.json.decode(stored, type=SourceSpec)
        return SourceShape(spec.columns, spec.time, spec.known_at, spec.known_after_us, spec.subject, spec.pii)


class StoredPersonalFields:
    """Reads which columns of models are personal from the metadata store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[str, ...]] = {}  # by the text of a declaration, which never changes

    def of_models(self) -> dict[str, tuple[str, ...]]:
        with self._store.read() as connection:
            declared = connection.execute(select(models.c.id, models.c.spec).where(models.c.spec.is_not(None))).all()
        return {row.id: fields for row in declared if (fields := self._fields(row.spec))}

    def _fields(self, text: str) -> tuple[str, ...]:
        if text not in self._known:
            self._known[text] = msgspec.json.decode(text, type=ModelSpec).pii
        return self._known[text]
