"""Every named moment at which a process may be killed is one at which some test kills it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _calls(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reached":
            (name,) = node.args
            assert isinstance(name, ast.Constant), f"{file}:{node.lineno}: a moment's name is written out"
            assert isinstance(name.value, str)
            yield name.value


def _texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.partition(":")[0]


def test_every_named_moment_is_killed_at_by_a_test() -> None:
    kernel = ROOT / "src" / "mainspring" / "kernel" / "crashpoints.py"
    files = [file for file in (ROOT / "src").rglob("*.py") if file != kernel and "crashpoints" in file.read_text()]
    named = {name for file in files for name in _calls(file)}
    tested = {text for file in (ROOT / "tests").rglob("test_*.py") for text in _texts(file)}
    assert len(named) > 50
    assert named - tested == set()
