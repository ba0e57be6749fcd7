import math

import numpy as np
import pytest

from mainspring.release.evidence.losses import loss, rewarding


def test_log_loss_is_clipped_at_a_hundredth_and_starts_at_zero() -> None:
    measured = loss("log_loss")
    values, cut = measured.of(np.array([1.0, 0.0, 0.5]), np.array([1.0, 1.0, 1.0]))
    assert values == pytest.approx([0.0, math.log(99), math.log(0.99 / 0.5)])
    assert (measured.bound, cut) == (pytest.approx(math.log(99)), 0)


def test_a_rare_outcome_is_clipped_at_a_tenth_of_its_rate() -> None:
    assert loss("log_loss", base_rate=0.02).epsilon == pytest.approx(0.002)
    assert loss("log_loss", base_rate=0.98).epsilon == pytest.approx(0.002)
    assert loss("log_loss", base_rate=0.4).epsilon == 0.01


def test_error_and_brier_are_bounded_by_one() -> None:
    decided = loss("error", threshold=0.3).of(np.array([0.3, 0.2]), np.array([0.0, 1.0]))[0]
    assert decided.tolist() == [1.0, 1.0]
    assert loss("brier").of(np.array([0.25]), np.array([1.0]))[0].tolist() == [0.5625]


def test_losses_beyond_the_declared_bound_are_cut_and_counted() -> None:
    values, cut = loss("squared_error", bound=4.0).of(np.array([0.0, 1.0, 9.0]), np.zeros(3))
    assert (values.tolist(), cut) == ([0.0, 1.0, 4.0], 1)


def test_without_a_bound_nothing_is_cut_but_what_no_number_can_square() -> None:
    values, cut = loss("squared_error").of(np.array([0.0, 9.0, -1e200]), np.zeros(3))
    assert (values.tolist(), cut) == ([0.0, 81.0, 1e100], 1)


def test_a_reward_without_bounds_is_its_loss_with_the_sign_turned() -> None:
    losses, cut = rewarding(None, None).of(np.zeros(3), np.array([12.5, -3.0, 1e9]))
    assert (losses.tolist(), cut) == ([-12.5, 3.0, -1e9], 0)
    assert rewarding(None, None).worth(losses).tolist() == [12.5, -3.0, 1e9]
    assert rewarding(0.0, 10.0).worth(np.array([10.0, 2.5])).tolist() == [0.0, 0.75]


def test_the_expected_loss_weighs_both_outcomes() -> None:
    assert loss("brier").expected(np.array([0.5]), np.array([0.25])).tolist() == [0.25]
