"""A folder of files that can be had again: the least recently used give way, but none that is in use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mainspring.adapters.disk import TEMPORARY
from mainspring.kernel.ids import new_id

IN_USE_S = 3_600.0  # a job or a model process that was given a path may open it for so long


class FileCache:
    """Holds at most ``limit_bytes`` beside what was used within ``in_use_s`` and what ``needed`` names."""

    def __init__(
        self,
        root: Path,
        limit_bytes: int,
        *,
        in_use_s: float = IN_USE_S,
        needed: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._in_use_s = in_use_s
        self._needed = needed

    def used(self, path: Path) -> None:
        """Note that a file is used now."""
        with suppress(FileNotFoundError):
            os.utime(path)

    def fill(self, path: Path, fetch: Callable[[Path], None]) -> None:
        """Put a file in place in one step, and make room."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(TEMPORARY + new_id("f"))
        try:
            fetch(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.make_room(spare=path)

    def make_room(self, *, spare: Path | None = None) -> None:
        """Remove the least recently used files until the rest is within its bound; ``spare`` is about to be read."""
        found = sorted((entry.stat().st_mtime, entry.stat().st_size, entry) for entry in _files(self._root))
        excess = sum(size for _, size, _ in found) - self._limit_bytes
        if excess <= 0:
            return
        needed, before = set(self._needed()), time.time() - self._in_use_s
        for used, size, path in found:
            if excess <= 0 or used > before:
                return
            if path.stem not in needed and path != spare:
                path.unlink(missing_ok=True)
                excess -= size


def _files(root: Path) -> list[Path]:
    return [path for path in root.glob("*/*") if not path.name.startswith(TEMPORARY) and path.is_file()]
