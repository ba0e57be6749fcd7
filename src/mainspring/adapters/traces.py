"""Looking for a word in everything that lies in a home: what tells that somebody is gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from mainspring.log.ports import PartRef, Tables

_OVERLAP_BYTES = 4_096
_CHUNK_BYTES = 4 * 1_024 * 1_024
SHORT = 4  # a shorter word stands in too many bytes by chance: there only a quoted one counts


def traces_of(root: Path, word: str, *, without: tuple[str, ...] = ()) -> list[str]:
    """Return the files below ``root``, by relative path, in which the word stands by itself; Parquet is decoded.

    Words inside longer ones, of letters and digits, do not count. ``without`` are folders that are left out.
    """
    found = []
    for path in _files(root):
        name = path.relative_to(root).as_posix()
        if name.startswith(tuple(f"{folder}/" for folder in without)):
            continue
        try:
            if _in_parquet(path, word) if path.suffix == ".parquet" else _in_bytes(path, word):
                found.append(name)
        except FileNotFoundError:  # removed while we looked
            continue
    return found


def parts_with(tables: Tables, parts: Iterable[PartRef], word: str) -> list[str]:
    """Return the parts, wherever they are kept, in which the word stands."""
    return [f"{part.table}/{part.id}" for part in parts if _in_frame(tables.scan([part]).collect(), word)]


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())


def _in_parquet(path: Path, word: str) -> bool:
    try:
        frame = pl.read_parquet(path)
    except PolarsError:
        return _in_bytes(path, word)
    return _in_frame(frame, word)


def _in_frame(frame: pl.DataFrame, word: str) -> bool:
    alone = rf"(?:^|[^0-9A-Za-z]){re.escape(word)}(?:$|[^0-9A-Za-z])"
    for column in frame.get_columns():
        if column.dtype == pl.String and column.str.contains(alone).any():
            return True
        if column.dtype == pl.Binary and any(word.encode() in value for value in column.drop_nulls()):
            return True
    return False


def _in_bytes(path: Path, word: str) -> bool:
    text = re.escape(word.encode())
    alone = rb'"%s"' % text if len(word) < SHORT else rb"(?<![0-9A-Za-z])%s(?![0-9A-Za-z])" % text
    pattern = re.compile(alone)
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if pattern.search(rest + chunk):
                return True
            rest = chunk[-_OVERLAP_BYTES:]
    return False
