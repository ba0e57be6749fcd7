"""Evaluating a declaring file: the worker's side of ``apply``."""

from __future__ import annotations

import ast
import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from mainspring.kernel.errors import InvalidInput, MainspringError, shorten
from mainspring.kernel.ids import digest
from mainspring.project.collection import Collection, collecting, fault, report
from mainspring.project.compile import broken_names, compile_revision
from mainspring.project.manifest import Evaluated, Fault, Revision
from mainspring.project.references import check_references
from mainspring.project.traffic import rows_per_day

LOCKS = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "requirements.lock", "requirements.txt")


def run(spec: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Evaluate ``spec["file"]`` of ``spec["root"]``; return an ``Evaluated`` as plain data.

    The project's local modules are copied to ``staging/files/<digest>``, so what is stored is what was evaluated.
    """
    root = Path(spec["root"])
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(root))
    try:
        evaluated = evaluate(root, spec["file"], spec["project"], staging / "files")
    finally:
        sys.path.remove(str(root))
    plain: dict[str, Any] = msgspec.to_builtins(evaluated)
    try:
        msgspec.convert(plain, Evaluated)
    except msgspec.ValidationError as error:
        faults = evaluated.faults or (Fault(str(error).replace("`", ""), spec["file"]),)
        plain = msgspec.to_builtins(Evaluated(Revision(spec["project"], spec["file"]), faults))
    return plain


def evaluate(root: Path, file: str, project: str, copies: Path) -> Evaluated:
    """Import the declaring file and return what it declares with all its faults."""
    with collecting() as collection:
        _import(root, file)
        revision = compile_revision(collection, project=project, file=file)
        check_references(revision, broken_names(collection))
        if not collection.declared and not collection.faults:
            fault("declares nothing", field=file, remedy="declare a source and a model: ms.Source(…), ms.Model(…)")
    files = _copy(local_files(root, file), root, copies)
    revision = msgspec.structs.replace(revision, files=files, lock=_lock(root))
    rates = {source.name: rows_per_day(source, root) for source in revision.sources}
    return Evaluated(revision, _faults(collection), {name: rate for name, rate in rates.items() if rate is not None})


def local_files(root: Path, file: str) -> list[Path]:
    """Return the declaring file and the local modules that it reaches by imports, also those inside functions."""
    found: dict[Path, None] = {}
    waiting = [root / file]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = None
        waiting.extend(_imported(root, path))
    return sorted(found)


def _imported(root: Path, path: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for name in _module_names(node, path, root):
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                folder = root.joinpath(*parts[:depth])
                yield folder / "__init__.py"
                yield folder.with_suffix(".py")


def _module_names(node: ast.AST, path: Path, root: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = path.parent.relative_to(root).parts
        package = package[: len(package) - node.level + 1]
        base = ".".join([*package, *([base] if base else [])])
    return [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else [alias.name for alias in node.names]


def _import(root: Path, file: str) -> None:
    name = file.removesuffix(".py").replace("/", ".")
    already = sys.modules.get(name)
    if already is not None and Path(getattr(already, "__file__", "") or "").resolve() != (root / file).resolve():
        report(InvalidInput("hides a module of the same name", field=file, remedy="rename the file"))
        return
    try:
        importlib.import_module(name)
    except MainspringError as error:
        report(error)
    except BaseException as error:  # a project may raise anything, or try to end the process
        report(InvalidInput(_sentence(error), field=_where(error, root, file)))


def _sentence(error: BaseException) -> str:
    words = shorten(str(error), 300)[1:-1] if str(error) else "it raised"
    return f"{type(error).__name__}: {words}"


def _where(error: BaseException, root: Path, file: str) -> str:
    """Return the line of the project at which it was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(root)]
    return f"{Path(frames[-1].filename).relative_to(root)}:{frames[-1].lineno}" if frames else file


def _copy(paths: list[Path], root: Path, copies: Path) -> dict[str, str]:
    copies.mkdir(parents=True, exist_ok=True)
    files = {}
    for path in paths:
        data = path.read_bytes()
        name = digest(data)
        (copies / name).write_bytes(data)
        files[path.relative_to(root).as_posix()] = name
    return files


def _lock(root: Path) -> str:
    for name in LOCKS:
        if (root / name).is_file():
            return digest((root / name).read_bytes())
    return ""


def _faults(collection: Collection) -> tuple[Fault, ...]:
    distinct = dict.fromkeys(
        Fault(error.what, error.field, None if error.value is None else shorten(error.value), error.remedy)
        for error in collection.faults
    )
    return tuple(distinct)


def revision_of(encoded: bytes) -> Revision:
    """Read a stored revision."""
    return msgspec.json.decode(encoded, type=Revision)
