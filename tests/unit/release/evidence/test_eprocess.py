import math

import numpy as np
import pytest

from mainspring.release.evidence.eprocess import LAMBDAS, interval, log_e, peak


def test_the_grid_is_that_of_the_paper() -> None:
    assert len(LAMBDAS) == 18
    assert LAMBDAS[:3] == pytest.approx([0.9, 0.6363961, 0.45])


def test_nothing_seen_is_an_e_value_of_one() -> None:
    assert float(log_e(0.0, 0.0, 1.0)) == pytest.approx(0.0)


def test_one_term_at_the_bound_gives_the_mean_over_the_grid_of_one_plus_lambda_exactly_capped() -> None:
    by_hand = np.mean([math.exp(rate + math.log(1 - rate) + rate) for rate in LAMBDAS])
    assert math.exp(float(log_e(1.0, 1.0, 1.0))) == pytest.approx(by_hand)


def test_no_single_term_can_raise_e_on_average_when_its_mean_is_zero() -> None:
    for high, low, chance in ((1.0, -1.0, 0.5), (0.5, -0.1, 1 / 6), (0.05, -0.95, 0.95)):
        up, down = float(log_e(high, high**2, 1.0)), float(log_e(low, low**2, 1.0))
        assert chance * math.exp(up) + (1 - chance) * math.exp(down) <= 1.0


def test_the_peak_is_that_of_every_row_and_not_of_the_last() -> None:
    s, v = np.array([1.0, 20.0, 5.0]), np.array([1.0, 21.0, 40.0])
    assert peak(s, v, 1.0) == pytest.approx(float(log_e(20.0, 21.0, 1.0)))


def test_the_interval_is_what_both_tests_leave_standing() -> None:
    low, high = interval(6_500.0, 13.0, 78.65, 4.595, 0.05)
    assert low == pytest.approx(-0.0061, abs=1e-4)
    assert high == pytest.approx(0.0101, abs=1e-4)
    assert math.exp(float(log_e(high * 6_500 - 13.0, 78.65, 4.595))) == pytest.approx(40.0, rel=1e-4)
    assert math.exp(float(log_e(13.0 - low * 6_500, 78.65, 4.595))) == pytest.approx(40.0, rel=1e-4)


def test_an_interval_over_little_is_as_wide_as_the_bound_allows() -> None:
    assert interval(0.0, 0.0, 0.0, 2.0, 0.05) == (-2.0, 2.0)
    low, high = interval(2.0, 0.0, 0.02, 2.0, 0.05)
    assert (low, high) == (-2.0, 2.0)
