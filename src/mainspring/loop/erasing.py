"""Erasing one subject from a home, step by step; killed anywhere, it is taken up again and ends gone.

What is to be erased stands in a file of its own until it is done, with a salt that is thrown away at the end. No other
place ever holds the name: the ledger has a digest that is keyed with the home's secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import select

from mainspring.features.service import FeatureService
from mainspring.features.spec import SourceSpec
from mainspring.features.tables import sources
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.log.erasure import blank_spool, drop_quarantined, erase_from_source, erase_rows
from mainspring.log.ingest import Ingest
from mainspring.log.personal import Personal
from mainspring.log.ports import Disk, Tables
from mainspring.log.rewriting import Replaced, list_replaced

BACKUPS = "backups made before now still hold the subject: let them run out, or erase again after restoring one"
MODELS = "versions trained before now have seen the subject's rows; retrain where that matters"
FILES = "files and queries that sources read are not ours: take the subject out of them too"
ORDER_VERSION = 1
NOTES = (BACKUPS, MODELS, FILES)


class Order(msgspec.Struct, frozen=True):
    """``erasing/<id>.json``: whom to erase, and what names are replaced with."""

    id: str
    subject: str
    salt: bytes
    by: str
    reason: str
    begun_us: int
    version: int = ORDER_VERSION


def read_order(data: bytes) -> Order:
    """Return what an order's file says."""
    order = msgspec.json.decode(data, type=Order)
    if order.version > ORDER_VERSION:
        remedy = "install that version of Mainspring"
        raise Refused("was written by a newer version", field="erasing", value=order.version, remedy=remedy)
    return order


class Erased(msgspec.Struct, frozen=True):
    """What an erasure did. ``places`` are files in which the name still stands; ``gone`` means that there is none.

    ``waiting`` says that a running job still holds files of before: the loop goes on once it has ended.
    """

    digest: str
    gone: bool
    rows: dict[str, int]
    places: tuple[str, ...] = ()
    waiting: bool = False
    notes: tuple[str, ...] = ()


class Erasure:
    """Erases subjects. The loop holds its turn meanwhile, so nothing else changes the list of parts.

    ``look`` returns the files of the home in which a word stands; ``publish`` brings published tables up to the list.
    """

    def __init__(
        self,
        *,
        store: Store,
        tables: Tables,
        disk: Disk,
        spool: Path,
        folder: Path,
        ingest: Ingest,
        features: FeatureService,
        personal: Personal,
        clock: Clock,
        look: Callable[[str], list[str]],
        publish: Callable[[], None],
    ) -> None:
        self._store = store
        self._tables = tables
        self._disk = disk
        self._spool = spool
        self._folder = folder
        self._ingest = ingest
        self._features = features
        self._personal = personal
        self._clock = clock
        self._look = look
        self._publish = publish

    def note(self, subject: str, *, by: str, reason: str) -> Order:
        """Write down durably that a subject is to be erased; from here on it will be."""
        if not subject.strip():
            raise InvalidInput("is empty", field="subject", remedy="say whom to erase")
        if subject in reason:
            what = "names the subject, and the ledger keeps it"
            raise InvalidInput(what, field="reason", remedy="say why without the name, such as: asked for on paper")
        order = Order(new_id("era"), subject, secrets.token_bytes(32), by, reason, self._clock.now_us())
        self._disk.make(self._folder)
        self._disk.write(self._folder / f"{order.id}.json", msgspec.json.encode(order))
        reached("erase.noted")
        return order

    def pending(self) -> list[Order]:
        """Return what was noted and is not done."""
        names = [name for name in self._disk.list(self._folder) if name.endswith(".json") and name[0] != "."]
        return [read_order(self._disk.read(self._folder / name)) for name in names]

    def carry_out(self, order: Order) -> Erased:
        """Erase what was noted; every step may be done again. The caller has taken the spool in to its end."""
        subject, digest = order.subject, self._personal.digest(order.subject)
        rows = self._change_parts(order, digest)
        self._features.rebuild()
        reached("erase.rebuilt")
        blank_spool(self._disk, self._spool, self._ingest.positions())
        drop_quarantined(self._disk, self._spool, subject)
        self._publish()
        reached("erase.published")
        if self._tables.retired:
            return Erased(digest, gone=False, rows=rows, waiting=True, notes=NOTES)
        places = tuple(self._look(subject))
        erased = Erased(digest, not places, rows, places, notes=NOTES)
        self._tell(order, erased)
        reached("erase.told")
        self._disk.remove(self._folder / f"{order.id}.json")
        return erased

    def _change_parts(self, order: Order, digest: str) -> dict[str, int]:
        """Write every part without the subject, and swap the list and destroy the key in one transaction."""
        with self._store.read() as connection:
            replaced, rows = erase_rows(self._tables, connection, order.subject, order.salt)
            for id, spec in self._sources().items():
                if spec.subject:
                    fewer, count = erase_from_source(self._tables, connection, id, spec.subject, order.subject)
                    replaced += fewer
                    rows |= {f"source:{spec.name}": count} if count else {}
        reached("erase.written")
        self._swap(order, replaced, rows, digest)
        self._tables.drop([one.old for one in replaced])
        return rows

    def _swap(self, order: Order, replaced: Sequence[Replaced], rows: dict[str, int], digest: str) -> None:
        now_us = self._clock.now_us()
        with self._store.begin(order.by) as tx:
            list_replaced(tx.connection, replaced, now_us)
            had_key = self._personal.destroy(tx.connection, order.subject, now_us)
            numbers = {"rows": rows, "key_destroyed": had_key, "order": order.id}
            tx.record("subject.erasing", digest, order.reason, numbers)
        reached("erase.swapped")

    def _tell(self, order: Order, erased: Erased) -> None:
        with self._store.begin(order.by) as tx:
            numbers = {"gone": erased.gone, "places": len(erased.places), "order": order.id}
            tx.record("subject.erased" if erased.gone else "subject.left", erased.digest, order.reason, numbers)

    def _sources(self) -> dict[str, SourceSpec]:
        with self._store.read() as connection:
            stored = connection.execute(select(sources.c.id, sources.c.spec).order_by(sources.c.id)).all()
        return {row.id: msgspec.json.decode(row.spec, type=SourceSpec) for row in stored}
