from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from mainspring.checks.measures import day_block_interval, f1, log_loss, measure, r2, roc_auc


def test_metrics_agree_with_scikit_learn_ties_included() -> None:
    rng = np.random.default_rng(0)
    score = np.round(rng.random(2_000), 2)
    label = (rng.random(2_000) < score).astype(float)

    assert roc_auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    assert log_loss(label, score) == pytest.approx(sklearn_log_loss(label, clipped), abs=1e-12)
    assert r2(label, score) == pytest.approx(r2_score(label, score), abs=1e-12)
    assert f1(label, score) == pytest.approx(f1_score(label, score >= 0.5), abs=1e-12)


def test_what_cannot_be_computed_is_none() -> None:
    ones = np.ones(3)

    assert roc_auc(ones, np.array([0.1, 0.2, 0.3])) is None
    assert r2(ones, ones) is None
    assert f1(np.zeros(3), np.zeros(3)) is None
    assert f1(ones, np.zeros(3)) == 0.0
    assert log_loss(np.empty(0), np.empty(0)) is None
    assert measure("binary", np.empty(0), np.empty(0))["brier"] is None


def test_an_interval_by_days_is_wider_than_one_by_rows_when_days_differ() -> None:
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(20), 100)
    difference = np.repeat(rng.normal(scale=0.1, size=20), 100) + rng.normal(scale=0.1, size=2_000)

    found = day_block_interval(difference, day)

    assert found is not None
    mean, low, high, days = found
    assert days == 20
    assert low < mean < high
    assert high - low > 4 * 3.92 * difference.std() / np.sqrt(2_000) / 2


def test_an_interval_by_days_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(15), 20)
    missed = 0
    for _ in range(400):
        difference = np.repeat(rng.normal(scale=0.1, size=15), 20) + rng.normal(scale=0.1, size=300)
        found = day_block_interval(difference, day)
        assert found is not None
        missed += not found[1] <= 0.0 <= found[2]

    assert 4 <= missed <= 38  # 20 expected at 5 %


def test_one_day_gives_no_interval() -> None:
    assert day_block_interval(np.ones(5), np.zeros(5, dtype=np.int64)) is None
