import math

import numpy as np
import pytest

from mainspring.monitoring.evalues import LAMBDAS, calibrate, detect, detect_mean, detect_share, rank_p


@pytest.mark.parametrize(("p", "e"), [(0.5, 0.639), (0.1, 1.263), (0.01, 4.451), (0.001, 20.791), (1.0, 0.5)])
def test_the_calibrator_has_its_published_values(p: float, e: float) -> None:
    assert calibrate(p) == pytest.approx(e, abs=5e-4)


def test_the_calibrator_is_an_e_value() -> None:
    grid = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean([calibrate(p) for p in grid[::20]]) == pytest.approx(1.0, abs=0.2)
    assert calibrate(1 - 1e-4 / 2) == pytest.approx(calibrate(1 - 2e-4), abs=1e-3)


def test_ties_are_broken_by_the_uniform() -> None:
    assert rank_p(1.0, [1.0, 1.0, 1.0], uniform=0.2) == pytest.approx(0.2)
    assert rank_p(9.0, [1.0, 2.0, 3.0], uniform=0.4) == pytest.approx(0.1)
    assert rank_p(0.0, [1.0, 2.0, 3.0], uniform=1.0) == 1.0


def test_a_detector_stays_finite() -> None:
    evidence = 0.0
    for _ in range(10_000):
        evidence = detect(evidence, 1e12)
    assert math.isfinite(evidence)


def test_terms_of_mean_zero_leave_the_detector_of_the_mean_low() -> None:
    evidence = detect_mean([0.0] * len(LAMBDAS), total=0.0, squares=100.0, bound=1.0)
    assert np.mean(evidence) < 1


def test_terms_above_zero_raise_it() -> None:
    evidence = detect_mean([0.0] * len(LAMBDAS), total=30.0, squares=30.0, bound=1.0)
    assert np.mean(evidence) > 500


def test_a_share_ten_times_too_high_raises_the_detector_and_a_healthy_one_does_not() -> None:
    assert detect_share(0.0, bad=100, rows=1_000, healthy_share=0.01) > 1e6
    assert detect_share(0.0, bad=10, rows=1_000, healthy_share=0.01) < 1
    assert detect_share(0.0, bad=0, rows=10, healthy_share=0.01) == pytest.approx(0.717, abs=0.001)
