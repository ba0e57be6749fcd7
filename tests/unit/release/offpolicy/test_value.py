import numpy as np
import pytest

from mainspring.kernel.errors import Refused
from mainspring.release.offpolicy.value import Draws, earlier_means, unbounded_value, value


def drawn(n: int, share: float, seed: int = 1, means: tuple[float, float] = (0.2, 0.5)) -> tuple[Draws, np.ndarray]:
    random = np.random.default_rng(seed)
    arm = (random.random(n) < share).astype(np.int64)
    reward = (random.random(n) < np.array(means)[arm]).astype(float)
    return Draws(arm, np.tile([1.0 - share, share], (n, 1)), reward), np.tile([0.0, 1.0], (n, 1))


def test_the_means_before_a_unit_know_nothing_of_it() -> None:
    means = earlier_means(np.array([0, 0, 1, 0]), np.array([1.0, 0.0, 1.0, 1.0]), 2, prior=0.5)
    assert means[:, 0] == pytest.approx([0.5, 6 / 11, 6 / 12, 6 / 12])
    assert means[:, 1] == pytest.approx([0.5, 0.5, 0.5, 6 / 11])


def test_the_value_of_the_other_version_is_found_with_its_interval_and_its_weights() -> None:
    found = value(*drawn(20_000, 0.1), 0.0, 1.0)
    assert found.estimate == pytest.approx(0.5, abs=0.02)
    assert found.self_normalised == pytest.approx(0.5, abs=0.02)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.15
    assert found.weight_most == pytest.approx(10.0)
    assert found.weight_mean == pytest.approx(1.0, abs=0.05)
    assert found.effective_units == pytest.approx(2_000, rel=0.06)
    assert (found.clip, found.clipped_units, found.winsorised) == (pytest.approx(10.0), 0, 0)


def test_what_was_done_has_the_mean_that_was_met() -> None:
    draws, _ = drawn(3_000, 0.5)
    assert value(draws, draws.offered, 0.0, 1.0).estimate == pytest.approx(draws.reward.mean(), abs=0.01)


def test_clipping_widens_the_interval_by_what_it_may_take_away() -> None:
    draws, target = drawn(20_000, 0.1)
    whole, clipped = value(draws, target, 0.0, 1.0), value(draws, target, 0.0, 1.0, clip=9.0)
    assert clipped.clipped_units == int((draws.arm == 1).sum())
    assert clipped.low < 0.5 < clipped.high
    assert clipped.high - clipped.low > whole.high - whole.low + 0.15  # 0.1 · (10 - 9) on either side, at most


def test_rewards_outside_their_bounds_are_cut_and_counted() -> None:
    draws, target = drawn(5_000, 0.5)
    draws.reward[:7] = 30.0
    found = value(draws, target, 0.0, 1.0)
    assert found.winsorised == 7
    assert found.estimate < 1.0


@pytest.mark.parametrize(
    ("n", "share", "words"),
    [(30_000, 0.0199, "may count 50 times"), (380, 0.5, "effective sample is 1"), (0, 0.5, "nothing to value")],
)
def test_too_little_to_go_by_is_refused_with_the_reason(n: int, share: float, words: str) -> None:
    with pytest.raises(Refused, match=words):
        value(*drawn(n, share), 0.0, 1.0)


def test_a_version_that_could_not_be_drawn_has_no_value() -> None:
    draws, target = drawn(5_000, 0.5)
    draws.offered[10:30] = [1.0, 0.0]
    draws.arm[10:30] = 0
    with pytest.raises(Refused, match="support is missing: 20 of 5000 units"):
        value(draws, target, 0.0, 1.0)


def test_a_reward_without_bounds_has_an_asymptotic_interval_that_says_so() -> None:
    draws, target = drawn(4_000, 0.5)
    amounts = Draws(draws.arm, draws.offered, draws.reward * 40.0 + np.random.default_rng(2).exponential(5.0, 4_000))
    found = unbounded_value(amounts, target)
    assert found.asymptotic
    assert found.low < 25.0 < found.high
    assert found.high - found.low < 4.0
    assert not value(draws, target, 0.0, 1.0).asymptotic


@pytest.mark.parametrize(("n", "spike", "words"), [(900, 0.0, "fewer than 500"), (4_000, 3e4, "more than 2%")])
def test_where_such_an_interval_would_err_it_is_refused(n: int, spike: float, words: str) -> None:
    draws, target = drawn(n, 0.5)
    draws.reward[np.flatnonzero(draws.arm == 1)[0]] += spike
    with pytest.raises(Refused, match=words):
        unbounded_value(draws, target)
