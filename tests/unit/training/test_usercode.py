"""Whatever a user's function raises is one sentence with the line of the project, and never ends the worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from mainspring.kernel.errors import WorkerFailed
from mainspring.kernel.schema import Column, Signature
from mainspring.registry.model import Recipe
from mainspring.training.usercode import fit

RAISED = ["ValueError", "BaseException", "SystemExit", "KeyboardInterrupt", "GeneratorExit"]
INPUTS = pl.DataFrame({"x": [1.0, 2.0]})
LABEL = pl.Series("label", [0.0, 1.0])
SIGNATURE = Signature("binary", (Column("x", "float"),))


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    sys.path.insert(0, str(tmp_path))
    try:
        yield tmp_path / "raising_code.py"
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("raising_code", None)


@pytest.mark.parametrize("raised", RAISED)
def test_a_trainer_may_raise_anything(module: Path, raised: str) -> None:
    module.write_text(f"def train(frame, params):\n    raise {raised}('on purpose')\n")
    with pytest.raises(WorkerFailed, match=f"the trainer raised {raised}.*on purpose"):
        fit(Recipe("default", "raising_code:train"), INPUTS, LABEL, SIGNATURE, "slow.default")


@pytest.mark.parametrize("raised", RAISED)
def test_importing_it_may_raise_anything(module: Path, raised: str) -> None:
    module.write_text(f"raise {raised}('on purpose')\n")
    with pytest.raises(WorkerFailed, match=f"importing raising_code:train raised {raised}.*on purpose"):
        fit(Recipe("default", "raising_code:train"), INPUTS, LABEL, SIGNATURE, "slow.default")


@pytest.mark.parametrize("raised", RAISED)
def test_a_rule_may_raise_anything_when_it_answers(module: Path, raised: str) -> None:
    module.write_text(f"def answer(frame, params):\n    raise {raised}('on purpose')\n")
    recipe = Recipe("rule", "raising_code:answer", kind="rule")
    with pytest.raises(WorkerFailed, match=f"answering held-out rows raised {raised}.*on purpose"):
        fit(recipe, INPUTS, LABEL, SIGNATURE, "slow.rule").scores(INPUTS)
