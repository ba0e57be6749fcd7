"""Heads of the ledger in a file of the operator's choice, on another disk or machine at best: one line a head."""

from __future__ import annotations

import os
from pathlib import Path

from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import InvalidInput, Unavailable
from mainspring.ledger.chain import Head, parse_head


class HeadsFile:
    """Keeps heads by appending to a file; without a path it keeps none."""

    def __init__(self, path: str) -> None:
        if path and not os.path.isabs(path):
            raise InvalidInput("is not an absolute path", field="ledger_heads", value=path, remedy="begin it with /")
        self._path = Path(path) if path else None
        self._last: Head | None = None

    def keep(self, head: Head, now_us: int) -> bool:
        """Append a head unless it is the one that was kept last; return whether it was new."""
        if self._path is None or not head.seq:
            return False
        if self._last is None:
            self._last = max(self.read(), key=lambda one: one.seq, default=Head(0, ""))
        if head.seq <= self._last.seq:
            return False
        try:
            with self._path.open("a") as file:
                file.write(f"{show_time(from_us(now_us))} {head}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            remedy = "make its folder, or change the setting"
            raise Unavailable(f"cannot be written: {error.strerror}", field="ledger_heads", remedy=remedy) from error
        self._last = head
        return True

    def read(self) -> list[Head]:
        """Return every head that was kept; a last line that a crash cut off is none."""
        if self._path is None or not self._path.exists():
            return []
        lines = self._path.read_text().split("\n")[:-1]
        return [parse_head(line.rpartition(" ")[2]) for line in lines]
