"""Several challengers share the error of a promotion, amounts that were cut are exact, and the price of it all."""

import math

import numpy as np
import pytest
from tests.statistics.power import DRAWN, LOSS_SD, MARGIN, PAIRED_SD, drawn, fixed, paired
from tests.statistics.simulate import LONG, either, ever, most

from mainspring.release.evidence.losses import loss, rewarding
from mainspring.release.family import divisor

RUNS = 2_000
BOUND = loss("log_loss").bound


def any_promoted(alpha: float) -> int:
    """Return in how many runs any of five challengers, all worse by the margin, is promoted at ``alpha`` each."""
    random, promoted = np.random.default_rng(1), np.zeros(RUNS, dtype=bool)
    shared = 0.03 * random.standard_normal((RUNS, 2_000), dtype=np.float32)
    for _ in range(5):
        x = MARGIN + shared + PAIRED_SD * random.standard_normal(shared.shape, dtype=np.float32)
        x = x.astype(np.float64)
        promoted |= ever(MARGIN - x, x * x, 0.5, alpha)  # a bound near its spread, so that the test spends its error
    return int(promoted.sum())


def test_of_five_challengers_worse_by_the_margin_any_is_promoted_once_in_twenty_at_most() -> None:
    assert any_promoted(0.05 / 5) <= most(RUNS, 0.05)


def test_without_sharing_the_error_more_of_them_are() -> None:
    """The control: five tests at the whole error err more often than five at a fifth of it."""
    assert any_promoted(0.05) > 2 * any_promoted(0.05 / 5)


STARTS, STEPS, EFFECT = 12, 2_000, 0.15


def beside_others(random: np.random.Generator, divisors: list[int]) -> np.ndarray:
    """Return which runs promote any of the releases that divide the error so, none of which should be.

    A test that spends all of its error shows what they share: the likelihood ratio of normal rows, whose E is known.
    """
    hit = np.zeros(RUNS, dtype=bool)
    for one in divisors:
        log_e = np.zeros(RUNS)
        peak = np.zeros(RUNS)
        for _ in range(STEPS // 100):
            rows = EFFECT * random.standard_normal((RUNS, 100), dtype=np.float32) - EFFECT**2 / 2.0
            sums = log_e[:, None] + np.cumsum(rows, axis=1)
            peak, log_e = np.maximum(peak, sums.max(axis=1)), sums[:, -1]
        hit |= peak >= math.log(one / 0.05)
    return hit


def started(count: int) -> list[int]:
    """Return by what each of releases divides the error that start one after another, while all before it run."""
    running: list[int] = []
    for _ in range(count):
        running.append(divisor(running))
    return running


def test_of_releases_that_start_beside_others_any_is_promoted_wrongly_once_in_twenty_at_most() -> None:
    first, *others = started(STARTS)
    assert (first, others[:4]) == (1, [2, 6, 12, 20])
    random = np.random.default_rng(6)
    alone, beside = beside_others(random, [first]).sum(), beside_others(random, others).sum()
    print(f"wrongly promoted, of {RUNS:,}: {alone} that began alone, any of {len(others)} beside others in {beside}")
    assert alone <= most(RUNS, 0.05)
    assert beside <= most(RUNS, 0.05)
    assert beside > 60  # the error is spent, so the next test's control could have passed


def test_by_their_number_alone_releases_that_start_one_after_another_err_more() -> None:
    """The control: a half, a third, a quarter, … of the error add up to twice of it by the twelfth."""
    assert beside_others(np.random.default_rng(6), list(range(2, STARTS + 1))).sum() > 1.3 * most(RUNS, 0.05)


def test_places_are_taken_again_and_those_that_run_at_once_never_share_more_than_one_error_beside_the_first() -> None:
    random, running = np.random.default_rng(7), [1]
    for _ in range(3_000):
        if len(running) > 1 and random.random() < 0.48:
            running.pop(int(random.integers(len(running))))
        else:
            running.append(divisor(running))
        assert len(set(running)) == len(running)
        assert sum(1.0 / one for one in running if one > 1) <= 1.0


def test_amounts_with_very_heavy_tails_are_judged_exactly_once_they_are_cut() -> None:
    random, fixed_bounds = np.random.default_rng(2), rewarding(0.0, 50.0)
    amounts = random.lognormal(0.0, 2.5, (RUNS, 1_500))
    losses, beyond = fixed_bounds.of(np.zeros(amounts.size), amounts.ravel())
    assert beyond > 0.05 * amounts.size
    x = losses.reshape(amounts.shape)
    centred = x - float(x.mean())
    assert either(centred, centred * centred, fixed_bounds.bound, 0.05).sum() <= most(RUNS, 0.05)


@pytest.mark.parametrize(("effect", "rows"), [(0.0, 5_121), (-0.005, 2_891), (-0.01, 1_966)])
def test_the_rows_that_four_promotions_in_five_take_are_those_of_the_table(effect: float, rows: int) -> None:
    found = paired(effect, runs=1_000 if LONG else 200, most=7_000)
    assert found == pytest.approx(rows, rel=0.1)
    assert found > fixed(PAIRED_SD**2, MARGIN - effect)  # looking whenever one likes is never free


@pytest.mark.parametrize(("case", "units"), [*zip(DRAWN, (154_200, 73_000, 45_000, 801_200), strict=True)])
def test_the_drawn_units_that_four_promotions_in_five_take_are_those_of_the_table(
    case: tuple[float, float, int], units: int
) -> None:
    effect, share, _ = case
    found = drawn(*case, runs=1_000 if LONG else 100 if share == 0.5 else 40, seed=3)
    print(f"drawn at {share:.0%}, {effect:+.3f}: {found:,} units")
    assert found == pytest.approx(units, rel=0.1)
    assert found > fixed(LOSS_SD**2 * (1.0 / share + 1.0 / (1.0 - share)), MARGIN - effect)
