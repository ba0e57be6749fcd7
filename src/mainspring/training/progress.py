"""How a worker says how far it is: one JSON line a step, in its folder."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Progress:
    """Appends ``[share, words]`` to ``progress.jsonl``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.jsonl"

    def say(self, share: float, words: str) -> None:
        with self._path.open("ab") as handle:
            handle.write(msgspec.json.encode((share, words)) + b"\n")
