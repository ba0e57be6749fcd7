import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from mainspring.checks.credit import NO_CLASS, credit, credited, places
from mainspring.checks.measures import LOSSES, measure
from mainspring.release.evidence.losses import loss

VECTORS = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
CAME = np.array([1, 1, 2])
LOG = {"output": pl.Float64, "value": pl.Float64, "label": pl.String, "vector": pl.List(pl.Float64),
       "parts": pl.List(pl.String)}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "losses"),
    [
        ("log_loss", [-np.log(0.7), -np.log(0.3), -np.log(0.8)]),
        ("brier", [(0.04 + 0.09 + 0.01) / 2, (0.36 + 0.49 + 0.01) / 2, (0.01 + 0.01 + 0.04) / 2]),
        ("error", [0.0, 1.0, 0.0]),
    ],
)
def test_the_loss_of_a_credit_is_the_loss_of_the_vector(metric, losses):
    found, beyond = loss(metric).of(credit(metric, VECTORS, CAME), np.ones(3))
    least = -np.log(0.99) if metric == "log_loss" else 0.0  # a release takes a log loss's own minimum off
    np.testing.assert_allclose(found + least, losses, atol=1e-12)
    assert beyond == 0
    np.testing.assert_allclose(LOSSES[metric](CAME.astype(float), VECTORS), losses, atol=1e-12)


def test_two_classes_cost_what_one_probability_of_them_does():
    p, came = np.array([0.2, 0.9, 0.45]), np.array([0, 0, 1])
    both = np.column_stack([1 - p, p])
    for metric in ("log_loss", "brier", "error"):
        np.testing.assert_allclose(LOSSES[metric](came.astype(float), both), LOSSES[metric](came.astype(float), p))


def test_a_class_that_a_version_does_not_know_costs_all_that_can_be_lost():
    unknown = np.array([NO_CLASS])
    sure = np.array([[1.0, 0.0]])
    for metric in ("log_loss", "brier", "error"):
        fixed = loss(metric)
        assert fixed.of(credit(metric, sure, unknown), np.ones(1))[0][0] == pytest.approx(fixed.bound)


def test_metrics_of_classes_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    vectors = rng.dirichlet([1.0, 1.0, 1.0, 1.0], size=500)
    came = np.array([rng.choice(4, p=row) for row in vectors])
    found = measure("multiclass", came.astype(float), vectors)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(came, vectors, multi_class="ovr"), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sklearn_log_loss(came, np.clip(vectors, 1e-6, None)), abs=1e-4)
    assert found["accuracy"] == pytest.approx(accuracy_score(came, vectors.argmax(axis=1)))
    assert found["f1"] == pytest.approx(f1_score(came, vectors.argmax(axis=1), average="macro"))
    assert found["commonest_share"] == pytest.approx(np.bincount(came).max() / 500)


def test_rows_of_the_log_are_credited_by_their_own_classes():
    rows = pl.DataFrame(
        [
            (0.7, None, "a", [0.7, 0.3], ["a", "b"]),
            (0.6, None, "a", [0.1, 0.3, 0.6], ["a", "b", "c"]),
            (0.6, None, "d", [0.1, 0.3, 0.6], ["a", "b", "c"]),
            (0.6, None, None, [0.1, 0.3, 0.6], ["a", "b", "c"]),
            (None, None, "a", None, None),
        ],
        schema=LOG, orient="row",
    )  # fmt: skip
    found = credited(rows, "log_loss")
    assert found["output"].to_list() == [0.7, 0.1, 0.0, 0.6, None]
    assert found["value"].to_list() == [1.0, 1.0, 1.0, None, 1.0]


def test_rows_of_one_number_stay_as_they_are():
    rows = pl.DataFrame([(0.7, 1.0, None, None, None)], schema=LOG, orient="row")
    assert credited(rows, "log_loss") is rows
    assert places(["b", None, "x"], ["a", "b"]).tolist() == [1, NO_CLASS, NO_CLASS]
