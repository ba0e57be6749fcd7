"""Rules about the code that a machine can check, each with its reason."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
WORKER_SIDE = {"training", "estimator.py", "model_process.py", "notebook.py"}  # what runs a user's own code


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module.split(".")[0]}
            names |= {alias.name for alias in node.names if node.module == "unittest"}
    return names


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]


def methods(node: ast.ClassDef) -> int:
    return sum(isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) for one in node.body)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_tests_use_the_real_thing_and_no_mocks():
    assert [name(path) for path in TESTS if imported(path) & {"mock", "pytest_mock"}] == []


def test_a_test_is_a_sentence():
    named = [(name(path), one.name) for path in TESTS if path.name.startswith("test_") for one in functions(path)]
    assert [(path, one) for path, one in named if one.startswith("test_") and one.count("_") < 3] == []


def test_a_file_is_named_after_what_it_holds_and_not_after_its_age():
    refused = {"utils", "util", "helpers", "common", "manager", "misc", "core", "base", "legacy", "new", "v2"}
    assert [name(path) for path in SOURCES if set(re.split(r"[_./]", name(path))) & refused] == []


def test_a_module_says_what_it_is_for():
    assert [name(path) for path in SOURCES if path.read_text().strip() and not ast.get_docstring(parsed(path))] == []


def test_one_model_system_and_no_shell():
    refused = {"pydantic", "attrs", "attr"}
    assert [name(path) for path in SOURCES if imported(path) & refused or "shell=True" in path.read_text()] == []


def test_only_what_runs_a_users_own_code_unpickles():
    found = []
    for path in SOURCES:
        calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
        named = [call for call in calls if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name)]
        if any(call.value.id in {"pickle", "cloudpickle", "joblib"} for call in named):
            found.append(path)
    assert [name(path) for path in found if not set(path.parts) & WORKER_SIDE] == []


def test_no_class_has_more_methods_than_fit_in_a_head():
    assert [f"{name(path)}: {one.name}" for path in SOURCES for one in classes(path) if methods(one) > 43] == []


def test_protocols_are_small():
    protocols = [(path, one) for path in SOURCES for one in classes(path) if "Protocol" in map(ast.unparse, one.bases)]
    assert len(protocols) > 5
    assert [f"{name(path)}: {one.name}" for path, one in protocols if methods(one) > 12] == []


def test_functions_are_short():
    lengths = [
        (one.end_lineno - one.lineno + 1, f"{name(path)}:{one.name}")
        for path in SOURCES
        if "migrations" not in path.parts  # a migration is one long list of tables
        for one in functions(path)
    ]
    long = sorted(pair for pair in lengths if pair[0] > 40)
    assert len(long) <= 0.02 * len(lengths), long
    assert long == [] or long[-1][0] <= 90, long[-1]
