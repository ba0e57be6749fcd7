"""Examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
WITH_EXAMPLES = sorted(path for path in (SRC / "mainspring").rglob("*.py") if ">>> " in path.read_text())


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def test_the_examples_of_every_module_run():
    failed = []
    for path in WITH_EXAMPLES:
        if "templates" in path.parts:
            continue
        result = doctest.testmod(importlib.import_module(module_of(path)), optionflags=doctest.ELLIPSIS)
        if result.failed or not result.attempted:
            failed.append(module_of(path))
    assert len(WITH_EXAMPLES) > 10
    assert failed == []
