"""The number of LMDB's newest commit, read where it lies: asking LMDB costs a transaction.

LMDB keeps its newest commit in one of two meta pages at the front of the file, in turns. The place of the number in
them is not promised, so it is compared with what LMDB says when the file is opened; where they differ it is not read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PLACE = 16 + 4 + 4 + 8 + 8 + 2 * 48 + 8  # page header; magic, version, address, size, two trees, last page
_NUMBER = struct.Struct("=Q")


def newest_commit(folder: Path, env: Any) -> Callable[[], int] | None:
    """Return what tells the newest commit that a reader would see now; None if this file is laid out otherwise."""
    size = env.stat()["psize"]
    try:
        with (folder / "data.mdb").open("rb") as file:
            pages = mmap.mmap(file.fileno(), 2 * size, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    read, first, second = _NUMBER.unpack_from, _PLACE, size + _PLACE

    def newest() -> int:
        a, b = read(pages, first)[0], read(pages, second)[0]
        return int(a if a > b else b)

    before = newest()
    said = env.info()["last_txnid"]
    return newest if before <= said <= newest() else None
