"""From the spool to the tables: parts first, durably; then their digests and the positions in one transaction.

Killed anywhere, it loses no row and doubles none: parts without the transaction are swept, and reading starts again
from the positions that the last transaction stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import msgspec
import polars as pl
from sqlalchemy import Connection, delete, insert, select, update

from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.kernel.ids import digest
from mainspring.ledger.ports import Store
from mainspring.ledger.transaction import Transaction
from mainspring.log.frame import encode_group, encode_set
from mainspring.log.parts import list_parts, listed, merge_one, span_of
from mainspring.log.personal import Personal
from mainspring.log.ports import Disk, Keeping, Kept, PartRef, PersonalFields, SourceShapes, SpoolReader, Tables
from mainspring.log.pushed import frame_of
from mainspring.log.records import Record, SourceRows, Stopped
from mainspring.log.rows import rows_of
from mainspring.log.segments import QUARANTINE, Damage, FolderReader, Position, Reading
from mainspring.log.tables import boots as known_boots
from mainspring.log.tables import positions, tallies
from mainspring.log.tally import Tally, add_tallies, tallies_of, under_policies

ACTOR = "log"
MOST_RECORDS = 20_000
_MERGE_AGAIN_S = 60.0


class Ingested(msgspec.Struct, frozen=True):
    """What one run brought into the tables.

    ``sources`` are the typed rows of each pushed source, for feeding the online store. ``caught_up`` is false while
    whole groups are left. ``damaged`` names what lies in quarantine; ``torn_bytes`` a crash left unfinished.
    """

    records: int = 0
    rows: dict[str, int] = {}
    sources: dict[str, pl.DataFrame] = {}
    caught_up: bool = True
    damaged: tuple[str, ...] = ()
    torn_bytes: int = 0
    lag_bytes: int = 0


class Batch(msgspec.Struct):
    """What was read and is not committed yet. While a disk is full it is kept, so that no part is written twice."""

    readings: list[Reading]
    ingested: Ingested
    frames: dict[str, pl.DataFrame]
    damaged: list[Damage]
    stops: tuple[Stopped, ...]
    written: dict[str, PartRef]


class Ingest:
    """Reads the spool of a home. Only control runs it, one at a time."""

    def __init__(
        self,
        *,
        store: Store,
        tables: Tables,
        disk: Disk,
        spool: Path,
        clock: Clock,
        shapes: SourceShapes,
        personal: Personal | None = None,
        fields: PersonalFields | None = None,
        most_records: int = MOST_RECORDS,
        reader: SpoolReader | None = None,
    ) -> None:
        self._reader = reader or FolderReader(disk, spool)
        self._store = store
        self._tables = tables
        self._disk = disk
        self._spool = spool
        self._clock = clock
        self._shapes = shapes
        self._personal = personal
        self._fields = fields
        self._most_records = most_records
        self._positions: dict[str, Position] | None = None
        self._batch: Batch | None = None
        self._lag_bytes = 0
        self._policies: dict[str, str] | None = None
        self._failing_since_s: float | None = None
        self._merge_not_before_s = 0.0

    def run(self) -> Ingested:
        """Bring what the gateways have written since the last run into the tables."""
        try:
            return self._run()
        except Unavailable:
            if self._failing_since_s is None:
                self._failing_since_s = monotonic()
            raise

    def _run(self) -> Ingested:
        if self._positions is None:
            self._positions = self._recover()
        if self._batch is None:
            self._batch = self._convert(self._reader.read(self._positions, self._most_records))
        batch = self._batch
        self._write(batch)
        reached("ingest.after_parts")
        moved = [reading for reading in batch.readings if self._positions.get(reading.boot) != reading.position]
        if moved or batch.ingested.lag_bytes != self._lag_bytes:
            self._commit(moved, batch)
            self._failing_since_s = None
        self._batch = None
        reached("ingest.after_commit")
        self._positions.update({reading.boot: reading.position for reading in moved})
        self._lag_bytes = batch.ingested.lag_bytes
        self._clean(batch.readings)
        self._merge()
        return batch.ingested

    def _recover(self) -> dict[str, Position]:
        with self._store.read() as connection:
            stored = {row.boot: Position(row.segment, row.offset) for row in connection.execute(select(positions))}
            known = listed(connection)
        self._tables.sweep(part.id for part in known)
        return stored

    def _convert(self, readings: list[Reading]) -> Batch:
        records = [record for reading in readings for record in reading.records]
        rows = rows_of(records)
        sources, refused = self._sources(rows.pushed)
        damage = [found for reading in readings for found in reading.damage]
        frames = self._sealed(rows.frames, sources)
        lag_bytes = sum(reading.left_bytes for reading in readings)
        ingested = Ingested(
            records=len(records),
            rows={table: frame.height for table, frame in frames.items()},
            sources=sources,
            caught_up=len(records) < self._most_records,
            damaged=(*self._quarantine(damage), *self._set_aside([*rows.refused, *refused])),
            torn_bytes=sum(reading.torn_bytes for reading in readings),
            lag_bytes=lag_bytes,
        )
        return Batch(readings, ingested, frames, damage, rows.stops, {})

    def _sealed(self, frames: dict[str, pl.DataFrame], sources: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """Return what goes into parts: personal fields sealed with the keys of their subjects."""
        stored = {**frames, **{f"source:{source}": frame for source, frame in sources.items()}}
        if self._personal is None:
            return stored
        asked, fields = frames.get("requests"), self._fields.of_models() if self._fields is not None else {}
        shapes = {source: shape for source in sources if (shape := self._shapes.shape(source)) and shape.pii}
        if not shapes and (asked is None or not fields):
            return stored
        with self._store.bookkeeping() as connection:
            if asked is not None and fields:
                stored["requests"] = self._personal.seal_bodies(connection, asked, fields)
            for source, shape in shapes.items():
                frame = sources[source]
                stored[f"source:{source}"] = self._personal.seal_columns(
                    connection, frame, shape.subject or "", shape.pii
                )
        return stored

    def close(self) -> None:
        """Let go of what records are read from."""
        self._reader.close()

    def positions(self) -> dict[str, Position]:
        """Return up to where each boot's segments were taken in."""
        return dict(self._positions or {})

    def drop_taken(self) -> tuple[Kept, ...]:
        """Remove what was taken in from where it still lies, and tell what could not be removed."""
        if not isinstance(self._reader, Keeping):
            return ()
        return self._reader.drop(self._positions or {}, self._clock.now_us())

    def _sources(self, pushed: dict[str, list[SourceRows]]) -> tuple[dict[str, pl.DataFrame], list[Record]]:
        frames: dict[str, pl.DataFrame] = {}
        refused: list[Record] = []
        for source, records in pushed.items():
            shape = self._shapes.shape(source)
            try:
                frame = frame_of(shape, records) if shape is not None else None
            except (ValueError, InvalidInput):
                frame = None
            if frame is None:
                refused.extend(records)
            elif frame.height:
                frames[source] = frame
        return frames, refused

    def _quarantine(self, damage: Iterable[Damage]) -> list[str]:
        """Keep a copy of each damaged segment; its whole groups are read all the same."""
        names = []
        for found in {(one.boot, one.segment): one for one in damage}.values():
            names.append(self._keep(f"{found.boot}-{found.segment:06d}.seg", self._reader.raw(found)))
        return names

    def _set_aside(self, refused: Sequence[Record]) -> list[str]:
        if not refused:
            return []
        data = encode_group([encode_set(refused)], len(refused))
        return [self._keep(f"refused-{digest(data)[:16]}.seg", data)]

    def _keep(self, name: str, data: bytes) -> str:
        self._disk.make(self._spool / QUARANTINE)
        self._disk.write(self._spool / QUARANTINE / name, data)
        return name

    def _write(self, batch: Batch) -> None:
        """Write a part a table, side by side: most of the time is waiting for the disk."""
        missing = [table for table in batch.frames if table not in batch.written]
        if not missing:
            return
        with ThreadPoolExecutor(len(missing)) as pool:
            writing = {table: pool.submit(self._tables.write, table, batch.frames[table]) for table in missing}
        batch.written |= {table: one.result() for table, one in writing.items() if one.exception() is None}
        for one in writing.values():
            one.result()

    def _commit(self, moved: Sequence[Reading], batch: Batch) -> None:
        late = self._failing_since_s is not None
        if not (batch.ingested.damaged or batch.stops or late):
            with self._store.bookkeeping() as connection:
                self._store_rows(connection, moved, batch)
                reached("ingest.before_commit")
            return
        with self._store.begin(ACTOR) as tx:
            self._store_rows(tx.connection, moved, batch)
            self._tell(tx, batch)
            reached("ingest.before_commit")

    def _tell(self, tx: Transaction, batch: Batch) -> None:
        """Enter into the ledger what a person would ask about: damage, and stops of a spool or of the reading."""
        damage = {"damage": [msgspec.structs.asdict(found) for found in batch.damaged]}
        for name in batch.ingested.damaged:
            why = "bytes of the spool are not what was written; kept in quarantine"
            tx.record("log.damaged", name, why, {**damage, "file": name})
        for stop in batch.stops:
            lasted = {"lasted_ms": stop.lasted_ms, "refused": stop.refused}
            tx.record("log.stopped", stop.boot, f"a gateway's log took nothing: {stop.why}", lasted)
        if self._failing_since_s is not None:
            waited = {"lasted_ms": round((monotonic() - self._failing_since_s) * 1_000)}
            tx.record("log.delayed", ACTOR, "records could not be taken in: no room was left to write", waited)

    def _store_rows(self, connection: Connection, moved: Sequence[Reading], batch: Batch) -> None:
        now_us = self._clock.now_us()
        self._store_policies(connection, batch.readings, now_us)
        written = [(batch.written[table], frame) for table, frame in batch.frames.items()]
        list_parts(connection, [(part, span_of(part.table, frame)) for part, frame in written], now_us)
        for reading in moved:
            _store_position(connection, reading.boot, reading.position)
        counted = [tally for part, frame in written for tally in tallies_of(part.table, frame)]
        add_tallies(connection, [*counted, *self._under(batch)])
        connection.execute(delete(tallies).where(tallies.c.model == "", tallies.c.name == "spool"))
        lag = {"model": "", "name": "spool", "rows": batch.ingested.lag_bytes, "last_us": now_us}
        connection.execute(insert(tallies).values(lag))

    def _store_policies(self, connection: Connection, readings: Sequence[Reading], now_us: int) -> None:
        if self._policies is None:
            stored = connection.execute(select(known_boots.c.boot, known_boots.c.acknowledgement))
            self._policies = {row.boot: row.acknowledgement for row in stored}
        fresh = {
            reading.boot: reading.policy
            for reading in readings
            if reading.boot not in self._policies and reading.policy is not None
        }
        if fresh:
            connection.execute(
                insert(known_boots),
                [
                    {"boot": b, "acknowledgement": p.acknowledgement, "batch_ms": p.batch_ms, "seen_us": now_us}
                    for b, p in fresh.items()
                ],
            )
            self._policies |= {boot: policy.acknowledgement for boot, policy in fresh.items()}

    def _under(self, batch: Batch) -> list[Tally]:
        asked = batch.frames.get("requests")
        return [] if asked is None else under_policies(asked, self._policies or {})

    def _merge(self) -> None:
        """Merge small parts; where that fails, as on a full disk, the rows are there all the same."""
        if monotonic() < self._merge_not_before_s:
            return
        try:
            merge_one(self._store, self._tables, self._clock.now_us())
        except Unavailable:
            self._merge_not_before_s = monotonic() + _MERGE_AGAIN_S

    def _clean(self, readings: Sequence[Reading]) -> None:
        self._reader.clean(readings)
        reached("ingest.after_remove")
        gone = [reading.boot for reading in readings if reading.ended]
        if gone:
            with self._store.bookkeeping() as connection:
                connection.execute(delete(positions).where(positions.c.boot.in_(gone)))
            for boot in gone:
                (self._positions or {}).pop(boot, None)


def _store_position(connection: Connection, boot: str, position: Position) -> None:
    values = msgspec.structs.asdict(position)
    if not connection.execute(update(positions).where(positions.c.boot == boot).values(values)).rowcount:
        connection.execute(insert(positions).values(boot=boot, **values))
