import numpy as np
import pytest

from mainspring.monitoring.losses import Loss, roc_auc


def test_log_loss_is_clipped_and_starts_at_zero() -> None:
    loss = Loss("log_loss", epsilon=0.01)
    costs = loss(np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.5, 0.5]))
    assert costs == pytest.approx([0.0, 4.5951, 0.6831, 0.6831], abs=1e-4)
    assert loss.bound == pytest.approx(4.5951, abs=1e-4)


def test_errors_beyond_the_bound_are_cut_and_counted() -> None:
    loss = Loss("absolute_error", bound=2.0)
    outcome, answer = np.array([0.0, 0.0, 0.0]), np.array([1.0, 2.0, 5.0])
    assert loss(outcome, answer).tolist() == [1.0, 2.0, 2.0]
    assert loss.winsorised(outcome, answer) == 1
    assert Loss("squared_error", bound=2.0)(outcome, answer).tolist() == [1.0, 2.0, 2.0]


def test_the_area_under_the_curve_of_one_class_does_not_exist() -> None:
    assert roc_auc(np.zeros(5), np.arange(5.0)) is None
    assert roc_auc(np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])) == 1.0
    assert roc_auc(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == 0.5
