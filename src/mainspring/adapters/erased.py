"""Who was erased, in a file of the operator's choice: what a backup of before is held against when it is restored.

One line an erasure: the format, when, and the subject's digest, which is keyed with the home's secret: it has no names.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect, select

from mainspring.adapters.stores.sqlite import SqliteStore
from mainspring.kernel.clock import SystemClock
from mainspring.kernel.errors import Damaged, InvalidInput, NotFound, Unavailable
from mainspring.log.tables import erased_subjects, subject_keys

FORMAT = 1
_DIGEST_LENGTH = 64


class ErasedFile:
    """Keeps erasures by appending to a file; without a path it keeps none."""

    def __init__(self, path: str) -> None:
        if path and not os.path.isabs(path):
            raise InvalidInput("is not an absolute path", field="erased_subjects", value=path, remedy="begin it with /")
        self._path = Path(path) if path else None

    def keep(self, digest: str, erased_us: int) -> None:
        """Append an erasure, durably; one that stands there already changes nothing."""
        if self._path is None or (self._path.exists() and read_erased(self._path).get(digest, -1) >= erased_us):
            return
        self._add(self._path, b"%d %d %s\n" % (FORMAT, erased_us, digest.encode()))

    def begin(self) -> None:
        """Make the file, with nobody in it, unless it is there: from now on its absence means that it was lost."""
        if self._path is not None and not self._path.exists():
            self._add(self._path, b"")

    def _add(self, path: Path, line: bytes) -> None:
        try:
            with path.open("ab") as file:
                if line and file.tell() and not _ends_whole(path):
                    file.write(b"\n")  # after a line that a crash cut off
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            remedy = "make its folder, or change the setting"
            raise Unavailable(f"cannot be written: {error.strerror}", field="erased_subjects", remedy=remedy) from error


def read_erased(path: Path) -> dict[str, int]:
    """Return when each subject was erased last, by digest; a line that a crash cut off is none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("there is no such file", field="erased", value=str(path)) from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", field="erased", value=str(path)) from None
    found: dict[str, int] = {}
    for line in lines:
        words = line.split()
        if words and words[0].isdigit() and int(words[0]) > FORMAT:
            remedy = "install that version of Mainspring"
            raise Damaged("was written by a newer version", field="erased", value=int(words[0]), remedy=remedy)
        if len(words) == 3 and words[1].isdigit() and len(words[2]) == _DIGEST_LENGTH:
            digest = words[2].decode(errors="replace")
            found[digest] = max(found.get(digest, 0), int(words[1]))
    return found


def knows_subjects(database: Path) -> bool:
    """Say whether a home of one file has sealed anything for a subject, or erased one."""
    with closing(SqliteStore(database, SystemClock())) as store, store.read() as connection:
        there = set(inspect(connection).get_table_names())
        tables = [table for table in (subject_keys, erased_subjects) if table.name in there]
        return any(connection.execute(select(table).limit(1)).first() for table in tables)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
