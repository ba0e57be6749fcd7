"""What the log asks of the world: a disk for formats of our own, blobs by digest, tables of immutable parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from mainspring.kernel.schema import Column

if TYPE_CHECKING:  # a model process in an environment of its own has no Polars
    from polars import DataFrame, LazyFrame

    from mainspring.log.records import Record
    from mainspring.log.segments import Damage, Position, Reading


class AppendFile(Protocol):
    """A file that only grows. Each call is whole or raises; ``Unavailable`` means that the disk is full."""

    @property
    def size(self) -> int:
        """Return the bytes written so far."""
        ...

    def write(self, data: bytes) -> None:
        """Write all of ``data`` at the end; a part that was written before an error is cut off again."""
        ...

    def sync(self) -> None:
        """Return once everything written survives a loss of power."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Lock(Protocol):
    """A lock that ends with its process, however that ends."""

    def release(self) -> None:
        """Let others take the lock."""
        ...


class Disk(Protocol):
    """The storage seam of our own formats. Satisfied by the local file system and by a twin that fails on purpose."""

    def write(self, path: Path, data: bytes) -> None:
        """Put a whole file in place, atomically and durably: a reader sees the old one or the new one."""
        ...

    def read(self, path: Path, offset: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from ``offset`` on; fewer than ``limit`` only at the end."""
        ...

    def append(self, path: Path) -> AppendFile:
        """Create a file that did not exist, durably, and return it open for appending."""
        ...

    def list(self, folder: Path) -> list[str]:
        """Return the names in a folder in order; none if there is no such folder."""
        ...

    def size(self, path: Path) -> int | None:
        """Return the size in bytes; None if there is no such file."""
        ...

    def make(self, folder: Path) -> None:
        """Create a folder and its parents, durably."""
        ...

    def rename(self, path: Path, to: Path) -> None:
        """Move a file or folder, durably."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file or an empty folder; one that is gone already is no error."""
        ...

    def blank(self, path: Path, until: int) -> None:
        """Write zeros over the first bytes of a file in place, durably, whoever else appends to it."""
        ...

    def lock(self, path: Path) -> Lock | None:
        """Take the lock at ``path``; None while another holds it."""
        ...


class Sink(Protocol):
    """Where a spool's writer puts its groups. Satisfied by segments in a folder and by a Kafka topic."""

    @property
    def group_bytes(self) -> int:
        """Return how long a group of several sets may be."""
        ...

    @property
    def most_bytes(self) -> int:
        """Return how long any group may be, as far as is known."""
        ...

    @property
    def patience_s(self) -> float:
        """Return for how long a writer that closes goes on trying."""
        ...

    def write(self, group: bytes) -> None:
        """Put a group at the end; where it raises, it is asked with the same bytes again until it does not."""
        ...

    def sync(self) -> None:
        """Return once everything written survives a loss of power."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Spool(Protocol):
    """Where a gateway puts records. Satisfied by segments in a folder and by a Kafka topic."""

    @property
    def acknowledgement(self) -> Literal["durable", "batched", "best_effort"]:
        """Return the stated policy."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes that were taken and are not kept yet."""
        ...

    @property
    def failing_s(self) -> float:
        """Return for how many seconds nothing could be kept; 0 while all is well."""
        ...

    def append(self, *records: Record) -> int:
        """Take records to be kept together or not at all, and return the number of this set.

        Raises ``Unavailable``, and takes none, where it cannot.
        """
        ...

    def append_later(
        self, make: Callable[[], Sequence[Record]], about_bytes: int, *, held_bytes: int | None = None
    ) -> int:
        """Take records as ``append`` does; they may be made later, so what they are made of may not change any more.

        They will take ``about_bytes`` in the log; what they are made of holds ``held_bytes`` until then.
        """
        ...

    async def durable(self, *sets: int) -> None:
        """Wait until these sets are kept, all that were appended unless any is named; only ``durable`` waits.

        Raises what keeps them from it, also where a set, once it was made, turned out to be longer than the log takes.
        """
        ...

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything appended so far is kept."""
        ...

    def close(self) -> None:
        """Keep what is waiting and end; raises ``Unavailable`` where something is lost."""
        ...


class SpoolReader(Protocol):
    """Where control takes records from. Satisfied by segments in a folder and by a Kafka topic."""

    def read(self, at: Mapping[str, Position], most_records: int) -> list[Reading]:
        """Return what came after the stored positions, each record once, in the order of its boot."""
        ...

    def raw(self, damage: Damage) -> bytes:
        """Return the bytes in which damage was found, to be kept in quarantine."""
        ...

    def clean(self, readings: Sequence[Reading]) -> None:
        """Let go of what is committed."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Kept(msgspec.Struct, frozen=True):
    """Where outside of a home what was logged may still be read, and until when; for ever if None."""

    place: str
    until_us: int | None
    why: str = ""


@runtime_checkable
class Keeping(Protocol):
    """A reader whose records stay where they were read from. Satisfied by a Kafka topic."""

    def drop(self, at: Mapping[str, Position], now_us: int) -> tuple[Kept, ...]:
        """Remove what came before the positions, or say what keeps it and until when."""
        ...


class Blobs(Protocol):
    """Files by the digest of their bytes, immutable. Satisfied by a folder and by a bucket."""

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest; storing them again changes nothing."""
        ...

    def put_file(self, path: Path) -> str:
        """Store a file's bytes and return their digest."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes, verified while they are read; raises ``NotFound`` or ``Damaged``."""
        ...

    def path(self, digest: str) -> Path:
        """Return a local file with the bytes, for a process that opens and verifies them itself."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether the bytes are stored."""
        ...

    def digests(self) -> Iterator[str]:
        """Return the digests of all that is stored, in any order."""
        ...


class PartRef(msgspec.Struct, frozen=True):
    """One immutable file of a table, as it is listed in the metadata store."""

    id: str
    table: str
    digest: str
    rows: int
    bytes: int


class Tables(Protocol):
    """Tables as lists of immutable parts. A part exists for readers once the metadata store lists it."""

    def write(self, table: str, frame: DataFrame) -> PartRef:
        """Write a part durably and return what to list; unlisted it is swept at the next start."""
        ...

    def scan(self, parts: Sequence[PartRef], columns: Sequence[str] | None = None) -> LazyFrame:
        """Return the rows of at least one part in order; raises ``Damaged`` where bytes are not what was written."""
        ...

    def paths(self, parts: Sequence[PartRef]) -> list[Path]:
        """Return the parts' files, for a process that reads them itself."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Hold off removals: parts that are dropped from now on can be read until this ends."""
        ...

    def drop(self, parts: Sequence[PartRef]) -> None:
        """Remove parts that are listed no more, once those who were reading have ended."""
        ...

    @property
    def retired(self) -> int:
        """Return how many dropped parts are still held by readers."""
        ...

    def sweep(self, keep: Iterable[str]) -> int:
        """Remove what an earlier process left unlisted; ``keep`` are the listed ids. Return the files removed."""
        ...


class Cipher(Protocol):
    """Seals bytes with a key so that a change shows. Satisfied by AES-GCM."""

    def new_key(self) -> bytes:
        """Return a random key."""
        ...

    def seal(self, key: bytes, data: bytes, context: bytes) -> bytes:
        """Return the sealed bytes; they open only with the same key and context."""
        ...

    def open(self, key: bytes, sealed: bytes, context: bytes) -> bytes | None:
        """Return the bytes, or None if they were sealed otherwise or changed."""
        ...


class PersonalFields(Protocol):
    """Which request columns are personal. Satisfied by the declarations of models."""

    def of_models(self) -> dict[str, tuple[str, ...]]:
        """Return the personal columns of each model that has any."""
        ...


class SourceShape(msgspec.Struct, frozen=True):
    """What it takes to turn pushed JSON rows of a source into typed ones with their moment of being known."""

    columns: tuple[Column, ...]
    time: str
    known_at: str | None = None
    known_after_us: int | None = None
    subject: str | None = None
    pii: tuple[str, ...] = ()


class SourceShapes(Protocol):
    """Shapes of sources by id. Satisfied by the metadata store."""

    def shape(self, source: str) -> SourceShape | None:
        """Return the source's shape; None if nothing is known of it."""
        ...
