"""Shapes of sources as ``apply`` stored them."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from mainspring.features.spec import SourceSpec
from mainspring.features.tables import sources
from mainspring.ledger.ports import Store
from mainspring.log.ports import SourceShape


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
        return SourceShape(spec.columns, spec.time, spec.known_at, spec.known_after_us)
