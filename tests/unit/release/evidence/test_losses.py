import math

import numpy as np
import pytest

from mainspring.kernel.errors import InvalidInput
from mainspring.release.evidence.losses import loss


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
    with pytest.raises(InvalidInput, match="bound: squared_error has no bound of its own"):
        loss("squared_error")


def test_the_expected_loss_weighs_both_outcomes() -> None:
    assert loss("brier").expected(np.array([0.5]), np.array([0.25])).tolist() == [0.25]
