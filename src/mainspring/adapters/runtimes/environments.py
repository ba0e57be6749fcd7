"""Environments on this machine: where a built one lies, and what a process in it borrows from ours."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path

from mainspring.kernel.errors import Unavailable

BORROWED = ("mainspring", "msgspec", "cloudpickle")


def interpreter(environments: Path | None, lock: str) -> Path:
    """Return the interpreter of the environment built from ``lock``."""
    python = (environments or Path()) / lock / "bin" / "python"
    if environments is None or not python.exists():
        remedy = f"build it with: mainspring environment build {lock}"
        raise Unavailable("is not built", field="environment", value=lock, remedy=remedy)
    return python


def borrowed(run: Path) -> Path:
    """Return a folder that lends a process in another environment what speaks to us, and nothing else of ours."""
    folder = run / "borrowed"
    folder.mkdir(exist_ok=True)
    for name in BORROWED:
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            continue
        there = Path(next(iter(found.submodule_search_locations)))
        link = folder / name
        if not link.is_symlink() or link.readlink() != there:
            with suppress(FileNotFoundError):
                link.unlink()
            with suppress(FileExistsError):
                link.symlink_to(there)
    return folder
