"""The asymptotic interval: its error at every look from 500 units on, for rewards that are more and more uneven."""

import numpy as np
import pytest
from tests.statistics.simulate import LONG, most

from mainspring.release.evidence.asymptotic import FEWEST_UNITS, LARGEST_PART, PLANNED_UNITS, asymptotic_interval

RUNS, UNITS, EVERY = (2_000 if LONG else 600), 10_000, 50
ALPHA = 0.05


def missed(seed: int, draw, mean: float, *, trusted: bool, moving: bool = False) -> int:
    """Return in how many runs some look, of those that may be given, leaves the mean out."""
    random, wrong = np.random.default_rng(seed), 0
    n = np.arange(1, UNITS + 1)[FEWEST_UNITS - 1 :: EVERY]
    for _ in range(RUNS):
        x = draw(random, UNITS)
        centred = np.square(x - np.cumsum(x) / np.arange(1, UNITS + 1))
        sums, v = np.cumsum(x)[FEWEST_UNITS - 1 :: EVERY], np.cumsum(centred)[FEWEST_UNITS - 1 :: EVERY]
        largest = np.maximum.accumulate(centred)[FEWEST_UNITS - 1 :: EVERY]
        eta = (v if moving else v / n * PLANNED_UNITS) / 8.8
        reach = np.sqrt((v + eta) * np.log((v + eta) / (eta * ALPHA**2)))
        given = largest <= LARGEST_PART * v if trusted else np.ones(len(n), dtype=bool)
        wrong += bool(((np.abs(sums - n * mean) > reach) & given).any())
    low, high = asymptotic_interval(float(n[-1]), 0.0, float(v[-1]), ALPHA, float(eta[-1]))
    assert 1.0 <= (high - low) / 2.0 / (reach[-1] / n[-1]) < 1.003  # what both one-sided tests leave standing
    return wrong


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    return random.standard_normal(n)


def exponential(random: np.random.Generator, n: int) -> np.ndarray:
    return random.exponential(1.0, n)


def lognormal(random: np.random.Generator, n: int) -> np.ndarray:
    return random.lognormal(0.0, 1.0, n)


def heavy(random: np.random.Generator, n: int) -> np.ndarray:
    return random.lognormal(0.0, 2.5, n)


@pytest.mark.parametrize(
    ("draw", "mean"), [(normal, 0.0), (exponential, 1.0), (lognormal, float(np.exp(0.5)))], ids=str
)
def test_with_rewards_of_moderate_tails_it_errs_as_seldom_as_it_says(draw, mean) -> None:
    wrong = missed(1, draw, mean, trusted=True)
    print(f"{draw.__name__}: {wrong / RUNS:.1%} of runs leave the mean out at some look")
    assert wrong <= most(RUNS, ALPHA)


def test_with_very_heavy_tails_it_errs_unless_it_is_withheld() -> None:
    mean = float(np.exp(2.5**2 / 2))
    without, withheld = missed(2, heavy, mean, trusted=False), missed(2, heavy, mean, trusted=True)
    print(f"log-normal, 2.5: {without / RUNS:.1%} without the rule of V/50, {withheld / RUNS:.1%} with it")
    assert without > 4 * most(RUNS, ALPHA)
    assert withheld < without / 4


def test_narrowest_at_every_look_it_would_err() -> None:
    """The control: an η that follows V is a fixed-sample interval looked at again and again."""
    planned = missed(3, normal, 0.0, trusted=True)
    assert missed(3, normal, 0.0, trusted=True, moving=True) > planned
