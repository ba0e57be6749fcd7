"""Every named moment at which a process may be killed is one at which some test really kills it."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IN_THE_LONG_FORM = {"erase.blanked", "erase.published", "erase.rebuilt"}  # `make crash` alone kills there


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


def _moments() -> set[str]:
    kernel = ROOT / "src" / "mainspring" / "kernel" / "crashpoints.py"
    files = [file for file in (ROOT / "src").rglob("*.py") if file != kernel and "crashpoints" in file.read_text()]
    return {name for file in files for name in _calls(file)}


def test_every_named_moment_stands_in_a_test() -> None:
    named = _moments()
    tested = {text for file in (ROOT / "tests").rglob("test_*.py") for text in _texts(file)}
    assert len(named) > 50
    assert named - tested == set()


def test_every_named_moment_was_died_at_where_its_tests_ran(killed: Any) -> None:
    """Where all files of tests that name a moment ran in this session and passed, some process died at it."""
    where: dict[str, set[Path]] = {name: set() for name in _moments()}
    for file in (ROOT / "tests").rglob("test_*.py"):
        for name in where.keys() & set(_texts(file)):
            where[name].add(file)
    ran = {name for name, files in where.items() if files <= killed.files}
    if not ran:
        pytest.skip("no test that kills ran in this session")
    waived = set() if os.environ.get("MAINSPRING_CRASH") == "long" else IN_THE_LONG_FORM
    assert ran - killed.moments - waived == set()
