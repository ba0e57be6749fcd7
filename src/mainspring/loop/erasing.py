"""Erasing one subject from a home, step by step; killed anywhere, it is taken up again and ends gone.

What is to be erased stands in a file of its own until it is done, with a salt that is thrown away at the end. No other
place ever holds the name: the ledger has a digest that is keyed with the home's secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl
from sqlalchemy import Connection, select

from mainspring.features.service import FeatureService
from mainspring.features.spec import SourceSpec
from mainspring.features.tables import sources
from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import InvalidInput, Refused
from mainspring.kernel.ids import new_id
from mainspring.ledger.ports import Store
from mainspring.log.erasure import blank_spool, drop_quarantined, erase_from_source, erase_rows, names_in
from mainspring.log.ingest import Ingest
from mainspring.log.parts import listed
from mainspring.log.personal import Personal
from mainspring.log.ports import Disk, Tables
from mainspring.log.rewriting import Replaced, list_replaced
from mainspring.loop.erased import Done, Erased, erased_of
from mainspring.release.renaming import rename_units

AGAIN = "again"  # a file beside the orders, left by a restore: who was erased after the backup was made
AGAIN_VERSION = 1
WHY_AGAIN = "erased before; this home was made from a backup of before"
ORDER_VERSION = 1


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


class Again(msgspec.Struct, frozen=True):
    """``erasing/again``: when each subject was erased, by digest, after the backup that this home was made from."""

    erased: dict[str, int]
    version: int = AGAIN_VERSION


def read_again(data: bytes) -> Again:
    """Return what a restore has left to be erased."""
    found = msgspec.json.decode(data, type=Again)
    if found.version > AGAIN_VERSION:
        remedy = "install that version of Mainspring"
        raise Refused("was written by a newer version", field="erasing", value=found.version, remedy=remedy)
    return found


class Erasure:
    """Erases subjects. The loop holds its turn meanwhile, so nothing else changes the list of parts.

    ``look`` returns the files of the home in which a word stands; ``publish`` brings published tables up to the list;
    ``keep`` writes down outside of the home who was erased.
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
        keep: Callable[[str, int], None] = lambda digest, erased_us: None,
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
        self._keep = keep

    def note(self, subject: str, *, by: str, reason: str) -> Order:
        """Write down durably that a subject is to be erased; from here on it will be."""
        if not subject.strip():
            raise InvalidInput("is empty", field="subject", remedy="say whom to erase")
        if subject in reason:
            what = "names the subject, and the ledger keeps it"
            raise InvalidInput(what, field="reason", remedy="say why without the name, such as: asked for on paper")
        return self._noted(subject, by, reason)

    def _noted(self, subject: str, by: str, reason: str) -> Order:
        self._sweep()
        order = Order(new_id("era"), subject, secrets.token_bytes(32), by, reason, self._clock.now_us())
        self._disk.make(self._folder)
        self._disk.write(self._folder / f"{order.id}.json", msgspec.json.encode(order))
        reached("erase.noted")
        return order

    def note_again(self) -> None:
        """Note whom a restored home holds though they were erased after its backup, and destroy their keys."""
        self._sweep()
        path = self._folder / AGAIN
        if self._disk.size(path) is None:
            return
        erased = read_again(self._disk.read(path)).erased
        with self._store.read() as connection:
            names = names_in(self._tables, connection)
            for id, spec in self._sources().items():
                names |= _subjects(self._tables, connection, id, spec)
            later = self._personal.erased_later(connection, erased)
        noted = {order.subject for order in self.pending()}
        for name in sorted(names - noted):
            if self._personal.digest(name) in later:
                self._noted(name, "restore", WHY_AGAIN)
        if later:
            with self._store.begin("restore") as tx:
                self._personal.destroy_again(tx.connection, later)
                tx.record("subject.again", "log", WHY_AGAIN, {"subjects": len(later)})
        reached("erase.again")
        self._disk.remove(path)

    def _sweep(self) -> None:
        """Remove what a kill left half written: it may name somebody."""
        for name in self._disk.list(self._folder):
            if name.startswith("."):
                self._disk.remove(self._folder / name)

    def pending(self) -> list[Order]:
        """Return what was noted and is not done."""
        names = [name for name in self._disk.list(self._folder) if name.endswith(".json") and name[0] != "."]
        return [read_order(self._disk.read(self._folder / name)) for name in names]

    def carry_out(self, order: Order) -> Erased:
        """Erase what was noted; every step may be done again. The caller has taken the spool in to its end."""
        subject, digest = order.subject, self._personal.digest(order.subject)
        done = self._change_parts(order, digest)
        self._features.rebuild()
        reached("erase.rebuilt")
        blank_spool(self._disk, self._spool, self._ingest.positions())
        dropped = drop_quarantined(self._disk, self._spool, subject)
        kept = self._ingest.drop_taken()
        self._publish()
        reached("erase.published")
        if self._tables.retired:
            return erased_of(digest, done, waiting=True)
        places = tuple(self._look(subject))
        met = done.known or bool(dropped or places)
        erased = erased_of(digest, msgspec.structs.replace(done, known=met), places=places, kept=kept)
        self._tell(order, erased)
        reached("erase.told")
        self._disk.remove(self._folder / f"{order.id}.json")
        return erased

    def _change_parts(self, order: Order, digest: str) -> Done:
        """Write every part without the subject, and swap the list and destroy the key in one transaction."""
        with self._store.read() as connection:
            changes = erase_rows(self._tables, connection, order.subject, order.salt)
            replaced, rows = list(changes.replaced), dict(changes.rows)
            looked_at = [f"subject, entity and unit of {_rows(connection, 'requests')} requested rows"]
            for id, spec in self._sources().items():
                if spec.subject:
                    looked_at.append(
                        f"{spec.subject} of {_rows(connection, f'source:{id}')} rows of source {spec.name}"
                    )
                    fewer, count = erase_from_source(self._tables, connection, id, spec.subject, order.subject)
                    replaced += fewer
                    rows |= {f"source:{spec.name}": count} if count else {}
            before = self._personal.erased_us(connection, order.subject)
        reached("erase.written")
        had_key = self._swap(order, changes.names, replaced, rows, digest)
        self._tables.drop([one.old for one in replaced])
        again = before is not None and before >= order.begun_us  # of a run that was killed: it had swapped already
        return Done(rows, had_key or again or bool(rows), (*looked_at, "every file of the home"))

    def _swap(
        self, order: Order, names: Mapping[str, str], replaced: Sequence[Replaced], rows: dict[str, int], digest: str
    ) -> bool:
        now_us = self._clock.now_us()
        with self._store.begin(order.by) as tx:
            list_replaced(tx.connection, replaced, now_us)
            units = rename_units(tx.connection, names) if rows else 0
            had_key = self._personal.destroy(tx.connection, order.subject, now_us)
            numbers = {"rows": rows, "key_destroyed": had_key, "units_renamed": units, "order": order.id}
            tx.record("subject.erasing", digest, order.reason, numbers)
        reached("erase.swapped")
        self._keep(digest, now_us)
        return had_key

    def _tell(self, order: Order, erased: Erased) -> None:
        with self._store.begin(order.by) as tx:
            elsewhere = msgspec.to_builtins(erased.elsewhere)
            numbers = {"gone": erased.gone, "known": erased.known, "places": len(erased.places), "order": order.id}
            kind = "subject.erased" if erased.gone else "subject.left"
            tx.record(kind, erased.digest, order.reason, numbers | ({"elsewhere": elsewhere} if elsewhere else {}))

    def _sources(self) -> dict[str, SourceSpec]:
        with self._store.read() as connection:
            stored = connection.execute(select(sources.c.id, sources.c.spec).order_by(sources.c.id)).all()
        return {row.id: msgspec.json.decode(row.spec, type=SourceSpec) for row in stored}


def _rows(connection: Connection, table: str) -> int:
    return sum(part.rows for part in listed(connection, table))


def _subjects(tables: Tables, connection: Connection, source: str, spec: SourceSpec) -> set[str]:
    if not spec.subject:
        return set()
    frames = [tables.scan([part], [spec.subject]).collect() for part in listed(connection, f"source:{source}")]
    return {name for frame in frames for name in frame[spec.subject].cast(pl.String).unique().drop_nulls()}
