"""The small project that ``mainspring init`` writes: it runs at once and is meant to be changed."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from mainspring.kernel.errors import Conflict, InvalidInput, nearest

KINDS = ("binary", "regression", "multiclass")
_SUFFIX = ".txt"  # kept from being collected as tests or checked as part of the package


def write_template(folder: Path, name: str, kind: str) -> list[str]:
    """Write the files of a kind of project into a new or empty folder and return their names."""
    if kind not in KINDS:
        raise InvalidInput("is not a kind of project", field="kind", value=kind, remedy=nearest(kind, KINDS))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("is not an empty folder", field="path", value=str(folder), remedy="name a new one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot be made: {error.strerror}"
        raise InvalidInput(what, field="path", value=str(folder), remedy="name a folder that can be written") from None
    written = {path: Template(text).safe_substitute(project=name) for path, text in _templates(kind).items()}
    for path, text in written.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    _make_data(folder)
    return sorted([*written, "data/parcels.csv"])


def _make_data(folder: Path) -> None:
    """Run the data's own maker, just written, so that the project works at once."""
    maker = runpy.run_path(str(folder / "make_data.py"))
    maker["write"](folder / "data", datetime.now(UTC).replace(microsecond=0))


def _templates(kind: str) -> dict[str, str]:
    """Return the texts of a kind by path: those of its own folder and what all kinds share."""
    texts: dict[str, str] = {}
    for folder in ("shared", kind):
        for entry in files("mainspring.project").joinpath("templates", folder).iterdir():
            path = entry.name.removesuffix(_SUFFIX).replace("__", "/")
            texts[path] = entry.read_text(encoding="utf-8")
    return texts
