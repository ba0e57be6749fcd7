"""A prediction log of its own in a folder, and small records to fill it with."""

from __future__ import annotations

from pathlib import Path

from mainspring.adapters.disk import LocalDisk
from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.adapters.tables.parquet import ParquetTables
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.metadata import metadata
from mainspring.kernel.schema import Column
from mainspring.ledger.tables import ledger_entries
from mainspring.log.ingest import MOST_RECORDS, Ingest
from mainspring.log.ports import SourceShape, SpoolReader
from mainspring.log.queries import PredictionLog
from mainspring.log.records import Assignment, Outcomes, Record, Request, Role, Scored
from mainspring.log.spool import Acknowledgement, SpoolWriter
from mainspring.log.tables import boots, parts, positions, publications, tallies
from mainspring.testing.disk import FaultyDisk


class Shapes:
    """One source: a key, a time known half an hour later, and a number."""

    def shape(self, source: str) -> SourceShape | None:
        if source != "src_1":
            return None
        columns = (Column("k", "str"), Column("at", "time"), Column("x", "float", nullable=True))
        return SourceShape(columns, "at", known_after_us=1_800_000_000)


class LogBench:
    """A log of its own in a folder, with a writer for each boot that is asked for."""

    def __init__(self, root: Path) -> None:
        self.spool = root / "spool"
        self.disk = FaultyDisk(LocalDisk())
        self.store = SqliteStore(root / "meta.db", SystemClock())
        with self.store.bookkeeping() as connection:
            metadata.create_all(connection, tables=[ledger_entries, boots, parts, positions, publications, tallies])
        self.tables = ParquetTables(root / "parts", self.disk)
        self.log = PredictionLog(self.store, self.tables)
        self.ingest = self.new_ingest()
        self.writers: dict[str, SpoolWriter] = {}
        self.policies: dict[str, Acknowledgement] = {}  # of boots that are to acknowledge otherwise than batched

    def new_ingest(self, *, most_records: int = MOST_RECORDS, reader: SpoolReader | None = None) -> Ingest:
        """Return another consumer of the same spool, as after a restart."""
        return Ingest(
            store=self.store,
            tables=self.tables,
            disk=self.disk,
            spool=self.spool,
            clock=SystemClock(),
            shapes=Shapes(),
            most_records=most_records,
            reader=reader,
        )

    def write(self, *records: Record, boot: str = "b_1") -> None:
        """Append records as a gateway of that boot would, and wait until they are on disk."""
        if boot not in self.writers:
            self.writers[boot] = SpoolWriter(self.spool, boot, self.disk, self.policies.get(boot, "batched"))
        for record in records:
            self.writers[boot].append(record)
        self.writers[boot].flush()

    def end(self, boot: str = "b_1") -> None:
        """Let a boot end."""
        self.writers.pop(boot).close()

    def close(self) -> None:
        """Let go of everything."""
        for boot in list(self.writers):
            self.end(boot)
        self.store.close()


def request(number: int, entity: str | None = None, at_us: int | None = None, model: str = "mod_1") -> Request:
    """Return a request of one row; its decision time is ten times its number."""
    body = b'{"flight":"%d"}' % number
    who = (entity or f"e{number}",)
    return Request(
        f"b_1-{number:x}", "prj_1", model, at_us or number * 10, number * 10 + 1, body, who, who, caller="test"
    )


def assignment(number: int, arm: str = "champion", release: str = "rel_1") -> Assignment:
    """Return the draw of that request."""
    return Assignment(f"b_1-{number:x}", "mod_1", 7, release, 2, "salt", (0,), (0.25,), (arm,), (0.95,), number * 10)


def scored(number: int, version: str = "ver_1", role: Role = "served", output: float = 0.5) -> Scored:
    """Return an answer to that request."""
    features = b'[{"weather":[[12.5,null],900,"d1"]}]'
    name = f"b_1-{number:x}"
    return Scored(name, "mod_1", version, role, "ok", 7, (0,), (output,), features, 40, number * 10, release="rel_1")


def outcome(entity: str, value: float, known_us: int, event_us: int = 5, model: str = "mod_1") -> Outcomes:
    """Return what came true of an entity."""
    return Outcomes("prj_1", model, (entity,), (value,), (event_us,), (known_us,))
