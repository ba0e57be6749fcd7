"""The prediction log as Delta tables, for engines that others wrote: published from the list of parts, never read.

Each table of the log is a Delta table whose files bear the names of parts. Commits are written here, synced and put in
place by one rename, because delta-rs syncs nothing; it then reads the table back, and only what it confirms is
remembered. So publishing may be killed anywhere, and a table is the list of parts or an earlier one, with no row twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import insert, select, update

from mainspring.kernel.clock import Clock
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Damaged, NotFound
from mainspring.kernel.ids import digest_of
from mainspring.ledger.ports import Store
from mainspring.log.parts import Span, spanned
from mainspring.log.ports import Disk, PartRef, Tables
from mainspring.log.rows import SCHEMAS, TIMES
from mainspring.log.tables import publications

LOG = "_delta_log"
CHECKPOINT_EVERY = 50
READERS_US = 3_600_000_000  # files of an older version stay so long for whoever reads it
_ENGINE = "mainspring"
_TYPES: dict[pl.DataType, Any] = {
    pl.String(): "string",
    pl.Int32(): "integer",
    pl.Int64(): "long",
    pl.Float64(): "double",
    pl.Boolean(): "boolean",
    pl.Binary(): "binary",
    pl.List(pl.Float64()): {"type": "array", "elementType": "double", "containsNull": True},
    pl.List(pl.String()): {"type": "array", "elementType": "string", "containsNull": True},
}
_SUFFIX = ".parquet"


class Published(msgspec.Struct, frozen=True):
    """What a run did to one table: parts that came and went, and the version that stands."""

    table: str
    version: int
    added: int
    removed: int
    rows: int
    place: str


class State(msgspec.Struct, frozen=True):
    """What is remembered of a published table: its newest commit, as written, and the parts in it.

    ``retired`` are parts that an older version names, with the moment since when the newest one does not. ``columns``
    are those that were published last: a log may have more once it was opened by a newer Mainspring.
    """

    version: int = -1
    commit: str = ""
    parts: tuple[str, ...] = ()
    retired: dict[str, int] = {}
    columns: tuple[str, ...] = ()


class DeltaPublication:
    """Publishes the log below ``root``. One process at a time: control."""

    def __init__(
        self,
        root: Path,
        *,
        store: Store,
        tables: Tables,
        disk: Disk,
        clock: Clock,
        checkpoint_every: int = CHECKPOINT_EVERY,
    ) -> None:
        self._checkpoint_every = checkpoint_every
        self._root = root
        self._store = store
        self._tables = tables
        self._disk = disk
        self._clock = clock

    def publish(self, *, at_once: bool = False) -> list[Published]:
        """Bring every table up to the list of parts; a table that is up to date is only checked for damage.

        Files of older versions stay an hour for whoever reads them; ``at_once`` removes them now.
        """
        readers_us = 0 if at_once else READERS_US
        with self._tables.reading():
            with self._store.read() as connection:
                parts = spanned(connection, SCHEMAS)
            return [
                self._publish(table, {ref.id: (ref, span) for ref, span in parts if ref.table == table}, readers_us)
                for table in SCHEMAS
            ]

    def _publish(self, table: str, wanted: Mapping[str, tuple[PartRef, Span]], readers_us: int) -> Published:
        state = self._mended(table, self._load(table))
        fresh = [wanted[id] for id in wanted if id not in state.parts]
        gone = [id for id in state.parts if id not in wanted]
        for part, _ in wanted.values():
            self._copy(table, part)
        columns = tuple(SCHEMAS[table])
        if fresh or gone or state.version < 0:
            reached("delta.after_copy")
            commit = self._commit(table, state, fresh, gone)
            retired = {**state.retired, **dict.fromkeys(gone, self._clock.now_us())}
            state = State(state.version + 1, commit, tuple(wanted), retired, columns)
            self._write_commit(table, state)
            reached("delta.after_commit")
            self._verify(table, state)
            self._save(table, state)
            reached("delta.after_save")
        self._trim(table, state, readers_us)
        rows = sum(part.rows for part, _ in wanted.values())
        return Published(table, state.version, len(fresh), len(gone), rows, str(self._root / table))

    def _mended(self, table: str, state: State) -> State:
        """Return the state of what lies there: a newest commit that is empty or cut is written again as it was."""
        log = self._root / table / LOG
        newest = max((int(name[:20]) for name in self._disk.list(log) if name.endswith(".json")), default=-1)
        if newest < 0:
            return State()  # nothing is there, or not any more
        if newest > state.version:  # written before a crash kept us from remembering it, or by somebody else
            if self._whole(log / _name(newest)):
                return State(newest, self._disk.read(log / _name(newest)).decode(), tuple(self._files(table)))
            self._disk.remove(log / _name(newest))
            return self._mended(table, state)
        if state.version >= 0 and self._read(log / _name(state.version)) != state.commit.encode():
            self._write_commit(table, state)
        return state

    def _whole(self, path: Path) -> bool:
        lines = self._read(path).splitlines()
        try:
            return bool(lines) and all(isinstance(msgspec.json.decode(line), dict) for line in lines)
        except msgspec.DecodeError:
            return False

    def _read(self, path: Path) -> bytes:
        try:
            return self._disk.read(path)
        except NotFound:
            return b""

    def _copy(self, table: str, part: PartRef) -> None:
        place = self._root / table / (part.id + _SUFFIX)
        if self._disk.size(place) != part.bytes:
            (path,) = self._tables.paths([part])
            self._disk.make(place.parent)
            self._disk.write(place, self._disk.read(path))

    def _commit(self, table: str, state: State, fresh: Sequence[tuple[PartRef, Span]], gone: Sequence[str]) -> str:
        now_ms = self._clock.now_us() // 1_000
        actions: list[dict[str, Any]] = []
        if state.version < 0:
            actions.append({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
        if state.columns != tuple(SCHEMAS[table]):
            actions.append(_meta(table, now_ms))
        actions.append({"txn": {"appId": _ENGINE, "version": state.version + 1, "lastUpdated": now_ms}})
        actions += [_remove(id, now_ms) for id in gone]
        actions += [_add(part, span, now_ms) for part, span in fresh]
        actions.append({"commitInfo": {"timestamp": now_ms, "operation": "WRITE", "engineInfo": _ENGINE}})
        return "".join(msgspec.json.encode(action).decode() + "\n" for action in actions)

    def _write_commit(self, table: str, state: State) -> None:
        log = self._root / table / LOG
        self._disk.make(log)
        self._disk.write(log / _name(state.version), state.commit.encode())

    def _verify(self, table: str, state: State) -> None:
        """Let delta-rs read what was written: other engines see what it sees."""
        from deltalake import DeltaTable

        read = DeltaTable(str(self._root / table))
        seen = {Path(uri).name.removesuffix(_SUFFIX) for uri in read.file_uris()}
        if read.version() != state.version or seen != set(state.parts):
            remedy = "remove its folder; it is published anew"
            raise Damaged("is not what was published", field="delta", value=table, remedy=remedy)
        if state.version and state.version % self._checkpoint_every == 0:
            read.create_checkpoint()

    def _files(self, table: str) -> list[str]:
        from deltalake import DeltaTable

        return [Path(uri).name.removesuffix(_SUFFIX) for uri in DeltaTable(str(self._root / table)).file_uris()]

    def _trim(self, table: str, state: State, readers_us: int) -> None:
        """Remove files that the newest version does not name: what was merged away, let go or erased, and orphans."""
        now_us = self._clock.now_us()
        late = {id: at for id, at in state.retired.items() if readers_us and now_us - at < readers_us}
        names = {id + _SUFFIX for id in (*state.parts, *late)}
        for name in self._disk.list(self._root / table):
            if name != LOG and name not in names:
                self._disk.remove(self._root / table / name)
        if late != state.retired:
            self._save(table, msgspec.structs.replace(state, retired=late))

    def _key(self, table: str) -> str:
        return digest_of([str(self._root), table])[:40]

    def _load(self, table: str) -> State:
        with self._store.read() as connection:
            row = connection.execute(select(publications).where(publications.c.id == self._key(table))).first()
        return State() if row is None else msgspec.json.decode(row.state, type=State)

    def _save(self, table: str, state: State) -> None:
        text = msgspec.json.encode(state).decode()
        with self._store.bookkeeping() as connection:
            mine = publications.c.id == self._key(table)
            if not connection.execute(update(publications).where(mine).values(state=text)).rowcount:
                connection.execute(insert(publications).values(id=self._key(table), table=table, state=text))


def _name(version: int) -> str:
    return f"{version:020d}.json"


def _meta(table: str, now_ms: int) -> dict[str, Any]:
    fields = [
        {"name": name, "type": _TYPES[dtype], "nullable": True, "metadata": {}}
        for name, dtype in SCHEMAS[table].items()
    ]
    schema = msgspec.json.encode({"type": "struct", "fields": fields}).decode()
    return {
        "metaData": {
            "id": digest_of([_ENGINE, table])[:32],
            "name": table,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": [],
            "configuration": {},
            "createdTime": now_ms,
        }
    }


def _add(part: PartRef, span: Span, now_ms: int) -> dict[str, Any]:
    time = TIMES[part.table]
    stats = {"numRecords": part.rows, "minValues": {time: span.min_us}, "maxValues": {time: span.max_us}}
    return {
        "add": {
            "path": part.id + _SUFFIX,
            "partitionValues": {},
            "size": part.bytes,
            "modificationTime": now_ms,
            "dataChange": True,
            "stats": msgspec.json.encode(stats).decode(),
        }
    }


def _remove(id: str, now_ms: int) -> dict[str, Any]:
    return {"remove": {"path": id + _SUFFIX, "deletionTimestamp": now_ms, "dataChange": True}}
