"""What a model of several classes may be judged by, and what its outcome may be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import mainspring as ms
from mainspring.features.spec import SourceSpec
from mainspring.kernel.schema import Column
from mainspring.project.fit import misfits
from mainspring.project.manifest import ModelEntry, Revision
from mainspring.registry.model import ModelSpec, OutcomeSpec, PredictAt

COLUMNS = (
    Column("id", "str"), Column("at", "time"), Column("kind", "str"), Column("grade", "int"), Column("hours", "float"),
)  # fmt: skip


def faults(expression: str = "kind", *, checks: Any = (), release: Any = None, monitors: Any = ()) -> list[str]:
    source = SourceSpec("trips", ms.sql("sqlite:///x", "select", watermark="at"), "at", ("id",), "at", None, COLUMNS)
    outcome = OutcomeSpec(expression, "trips", 0, "class")
    spec = ModelSpec("which", "multiclass", "id", "trips", PredictAt("at"), outcome, ())
    plain = msgspec.to_builtins
    entry = ModelEntry(
        spec, tuple(map(plain, checks)), plain(release) if release else None, tuple(map(plain, monitors)), None
    )
    revision = Revision("p", "project.py", sources=(source,), models=(entry,))
    return [fault.sentence() for fault in misfits(revision)]


@pytest.mark.parametrize(
    "expression", ["kind", "grade", "hours > 5", "CASE WHEN hours > 5 THEN 'late' ELSE 'soon' END"]
)
def test_a_class_is_a_text_a_whole_number_or_a_truth_value(expression: str) -> None:
    assert faults(expression) == []


def test_an_amount_is_no_class() -> None:
    assert faults("hours") == [
        "Model('which').outcome: is no class (got 'hours'); give a text, a whole number or a truth value"
    ]


def test_what_judges_class_vectors_is_let_through() -> None:
    checks = [ms.checks.metric(name, at_least=0.1) for name in ("accuracy", "roc_auc", "brier", "f1")]
    for metric in ("log_loss", "brier", "error"):
        assert faults(checks=checks, release=ms.Canary(metric=metric), monitors=[ms.Quality("brier"), ms.Drift()]) == []


@pytest.mark.parametrize(
    ("judged", "sentence"),
    [
        ({"checks": [ms.checks.metric("mae", at_most=1.0)]}, "Model('which').checks.metric.metric: judges numbers"),
        ({"release": ms.Canary(metric="absolute_error", bound=1.0)}, "Model('which').release.metric: judges numbers"),
        ({"monitors": [ms.Quality("squared_error", bound=1.0)]}, "Model('which').monitors.quality.metric: judges"),
        ({"release": ms.ABTest(share=0.5)}, "Model('which').release: rewards an amount, and a class is none"),
        ({"release": ms.Canary(metrics=[ms.metrics.reward(margin=0.1)])}, "Model('which').release: rewards an amount"),
    ],
)  # fmt: skip
def test_what_judges_amounts_is_refused(judged: dict[str, Any], sentence: str) -> None:
    (fault,) = faults(**judged)
    assert fault.startswith(sentence)


def test_what_a_monitor_of_amounts_is_told_to_use_is_what_a_monitor_takes() -> None:
    (fault,) = faults(monitors=[ms.Quality("squared_error", bound=1.0)])
    assert fault.endswith("use log_loss or brier")
    for metric in ("log_loss", "brier"):
        assert faults(monitors=[ms.Quality(metric)]) == []
