"""An MLflow model folder on this machine: regular files only, taken flat into the blobs."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mainspring.kernel.errors import InvalidInput, NotFound
from mainspring.log.ports import Blobs
from mainspring.registry.mlmodel import FILE, MlModel, read_mlmodel

PREFIX = "mlflow/"
MOST_FILES = 5_000
MOST_BYTES = 4 * 1024**3
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+ -]{0,199}")


class MlflowFolder(msgspec.Struct, frozen=True):
    """A folder as it was found: its files by their name in it, and what ``MLmodel`` says."""

    root: Path
    names: tuple[str, ...]
    model: MlModel

    def graph(self) -> Path | None:
        """Return the file of its ONNX flavour."""
        if self.model.graph is None:
            return None
        if self.model.graph not in self.names:
            raise InvalidInput("names a graph that is not in the folder", field=FILE, value=self.model.graph)
        if any(name.startswith(f"{self.model.graph}.") or name.endswith(".data") for name in self.names):
            remedy = "save the graph with its weights in one file"
            raise InvalidInput("keeps weights outside the graph", field=FILE, value=self.model.graph, remedy=remedy)
        return self.root / self.model.graph

    def keep(self, blobs: Blobs) -> dict[str, str]:
        """Put every file into the blobs; return digests by name in the version."""
        return {PREFIX + name: blobs.put_file(self.root / name) for name in self.names}


def read_folder(root: Path) -> MlflowFolder:
    """Read a folder that ``mlflow.….save_model`` wrote."""
    if not (root / FILE).is_file():
        remedy = "name the folder that holds MLmodel"
        raise NotFound("is not an MLflow model folder", field="folder", value=str(root), remedy=remedy)
    names = tuple(sorted(_names(root)))
    if sum((root / name).stat().st_size for name in names) > MOST_BYTES:
        raise InvalidInput("is too large", field="folder", value=str(root), remedy=f"at most {MOST_BYTES >> 30} GiB")
    requirements = _text(root, "requirements.txt") if "requirements.txt" in names else ""
    return MlflowFolder(root, names, read_mlmodel(_text(root, FILE), requirements))


def _text(root: Path, name: str) -> str:
    try:
        return (root / name).read_text("utf-8")
    except UnicodeDecodeError:
        remedy = "give a folder that mlflow.…save_model wrote"
        raise InvalidInput("is not text in UTF-8", field=name, value=str(root / name), remedy=remedy) from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", field=name, value=str(root / name)) from None


def _names(root: Path) -> Iterator[str]:
    waiting, count = [root], 0
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            kind, inside = path.lstat(), path.relative_to(root).as_posix()
            if not _NAME.fullmatch(path.name) or stat.S_ISLNK(kind.st_mode):
                raise InvalidInput("has a name or is of a kind that is not taken", field="folder", value=inside)
            if stat.S_ISDIR(kind.st_mode):
                if path.name != "__pycache__":
                    waiting.append(path)
            elif stat.S_ISREG(kind.st_mode) and kind.st_nlink == 1:
                count += 1
                yield inside
            else:
                remedy = "copy the folder, so that each of its files is a regular one with one name"
                raise InvalidInput("is not a regular file of its own", field="folder", value=inside, remedy=remedy)
            if count > MOST_FILES:
                raise InvalidInput("holds too many files", field="folder", remedy=f"at most {MOST_FILES:,}")
