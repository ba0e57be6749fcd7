"""Trainers and estimators that cannot be used: told with the line and the remedy; no version comes of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Answer, commands

SAID = {
    "raises": ("slow.raises: the trainer raised KeyError at project.py:22: 'colour'; mend it and apply again",),
    "returns_text": ("slow.returns_text: must return a fitted estimator with predict_proba (got 'str')",),
    "never_ends": ("train: did not end within 3 s and was stopped; raise its time limit or make it faster",),
    "young": ("the training window holds no row with a known outcome (got '1h'); widen it",),
    "other_columns": ("slow.other_columns: answering held-out rows raised ValueError: ", "colour", "mend it and apply"),
}


@pytest.fixture(scope="module")
def said(running: Any) -> dict[str, Answer]:
    """Read the source in, then train with every one of the recipes, side by side."""
    assert running.command("ingest").code == 0
    before = running.state()
    calls = {name: lambda name=name: running.command("train", "slow", "--recipe", name) for name in SAID}
    answers = commands(calls)
    after = running.state()
    assert (after["versions"], after["models"], after["log"]) == (before["versions"], before["models"], before["log"])
    return answers


@pytest.mark.parametrize("recipe", SAID)
def test_a_trainer_that_fails_makes_no_version_and_says_why(said: dict[str, Answer], recipe: str) -> None:
    code, text = said[recipe]
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith("error: ")
    assert "Traceback" not in text
    assert [part for part in SAID[recipe] if part not in text] == []


NOTEBOOK = """
import mainspring as ms, pandas, numpy as np
from sklearn.linear_model import LogisticRegression
from mainspring.kernel.errors import MainspringError

rows = pandas.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0)[::-1]})
fitted = LogisticRegression().fit(rows, rows["a"] > 30)
for estimator, sample in [
    (fitted, rows[["a"]]),
    (fitted, rows.assign(c=1.0)),
    (fitted, rows.rename(columns={"b": "c"})),
    (LogisticRegression(), rows),
    (fitted, rows.head(1)),
    (fitted, rows.to_numpy()),
    ("a model", rows),
    (fitted, rows.assign(b=pandas.Timestamp("2026-01-01"))),
]:
    try:
        ms.register(estimator, sample, name="small")
    except MainspringError as error:
        print(error)
    else:
        print("registered")
"""


def test_an_estimator_that_does_not_fit_its_sample_is_refused_and_no_model_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTEBOOK],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "sample: lacks a column that the estimator was fitted on (got 'b'); known: a",
        "sample: has a column that the estimator was not fitted on (got 'c'); take it out",
        "sample: lacks a column that the estimator was fitted on (got 'b'); known: a, c",
        "estimator: does not answer the sample: NotFittedError: This LogisticRegression instance is not fitted yet. "
        "Call 'fit' with appropriate arguments before using this estimator. (got 'LogisticRegression'); fit it, and "
        "give rows as it takes them",
        "sample: has too few rows to prove anything on (got 1); give at least 2",
        "sample: is not a DataFrame (got 'ndarray'); give some rows as a pandas or Polars DataFrame",
        "estimator: cannot predict (got 'str'); give a fitted scikit-learn estimator",
        "sample.b: cannot be asked with (got 'datetime64[us]'); turn it into a number, a text or a truth value",
    ]
    assert list(tmp_path.iterdir()) == []
