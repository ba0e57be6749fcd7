"""Several challengers share the error of a promotion, amounts that were cut are exact, and the price of it all."""

import numpy as np
import pytest
from tests.statistics.power import DRAWN, LOSS_SD, MARGIN, PAIRED_SD, drawn, fixed, paired
from tests.statistics.simulate import LONG, either, ever, most

from mainspring.release.evidence.losses import loss, rewarding

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


@pytest.mark.parametrize(("case", "units"), zip(DRAWN, (145_600, 75_200, 42_000, 860_000), strict=True))
def test_the_drawn_units_that_four_promotions_in_five_take_are_those_of_the_table(
    case: tuple[float, float, int], units: int
) -> None:
    effect, share, _ = case
    found = drawn(*case, runs=1_000 if LONG else 100 if share == 0.5 else 40, seed=3)
    print(f"drawn at {share:.0%}, {effect:+.3f}: {found:,} units")
    assert found == pytest.approx(units, rel=0.1)
    assert found > fixed(LOSS_SD**2 * (1.0 / share + 1.0 / (1.0 - share)), MARGIN - effect)
