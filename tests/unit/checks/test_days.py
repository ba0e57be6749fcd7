import numpy as np
import pytest
from scipy.stats import ttest_1samp

from mainspring.checks.days import interval_by_days


def test_days_of_one_size_give_students_t_of_their_means() -> None:
    means = np.array([0.02, -0.01, 0.05, 0.00, 0.03])
    expected = ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert interval_by_days(np.full(5, 80.0), 80.0 * means, 0.05) == pytest.approx((0.018, expected.low, expected.high))


def test_a_large_days_residual_counts_for_more_since_it_pulled_the_mean_towards_itself() -> None:
    """Residuals 1, -1.4, .4 at shares .5, .2, .3 of all rows: 1/.38 + 1.96/.98 + .16/.78, at 1.38 degrees."""
    found = interval_by_days(np.array([100.0, 40.0, 60.0]), np.array([2.0, -1.0, 1.0]), 0.05)
    assert found == pytest.approx((0.01, -0.064827, 0.084827), abs=1e-6)


def test_where_one_day_is_nearly_all_there_is_little_is_said() -> None:
    rows = np.array([10_000.0, *[10.0] * 13])
    _, low, high = interval_by_days(rows, rows * np.linspace(0.0, 0.1, 14), 0.05)
    evenly = interval_by_days(np.full(14, 100.0), 100.0 * np.linspace(0.0, 0.1, 14), 0.05)
    assert high - low > 0.02
    assert evenly[2] - evenly[1] < high - low


def test_it_is_the_same_whatever_rows_are_counted_in() -> None:
    w, x = np.array([3.0, 1.0, 2.0, 5.0]), np.array([0.3, -0.2, 0.1, 0.4])
    assert interval_by_days(w, x, 0.1) == pytest.approx(interval_by_days(1_000.0 * w, 1_000.0 * x, 0.1))
