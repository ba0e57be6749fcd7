"""Bandits over 50,000 requests with delays and a change in the middle: what they cost, and that intervals still cover.

The shares are those that control computes (``release.shares``) from rewards that are mature; intervals are those of
``release.evidence`` on logged propensities, looked at after every unit. Arms earn .10, .14 and .12; in the middle the
second falls to .08 and the third rises to .16. ``bandits.py`` plays many runs side by side.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from tests.statistics.bandits import (
    EPISODES,
    REQUESTS,
    Played,
    World,
    add,
    compared,
    earnings,
    ever_left,
    expected,
    play,
    real,
    regrets,
)
from tests.statistics.simulate import LONG, most

from mainspring.release.evidence.drawn import drawn_terms, running_means
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import interval
from mainspring.release.shares import DRAWS, allocate, chances
from mainspring.release.terms import Allocation

STILL = World(changes=False)
RUNS = 400 if LONG else 60
COVERED, AT_ONCE = (2_000 if LONG else 300), 50
PORTION = REQUESTS.portion


def rule(algorithm: str, half_life: int | None, floor: float = 0.05, per: str = "request") -> Allocation:
    return Allocation(algorithm, per, 1, floor, half_life, 0.95)


@cache
def played(world: World, algorithm: str, half_life: int | None, floor: float = 0.05) -> Played:
    return play(world, rule(algorithm, half_life, floor), RUNS, 1)


def lost(world: World, algorithm: str, half_life: int | None) -> float:
    """Return the mean regret."""
    return float(regrets(world, played(world, algorithm, half_life)).mean())


def even(world: World) -> float:
    """Return what equal shares lose."""
    rates = world.rates()
    return float((rates.max(axis=1) - rates.mean(axis=1)).sum())


def test_where_nothing_changes_thompson_sampling_loses_less_than_half_of_what_equal_shares_lose() -> None:
    assert even(STILL) == pytest.approx(1_000.0)
    assert lost(STILL, "thompson", None) < 0.5 * even(STILL)


def test_top_two_loses_less_than_equal_shares_and_asks_the_best_and_the_runner_up_most() -> None:
    assert lost(STILL, "top_two", None) < 0.75 * even(STILL)
    drawn = np.bincount(played(STILL, "top_two", None).arms.ravel(), minlength=3) / (RUNS * STILL.units)
    assert drawn[1] > 0.4
    assert drawn[2] > 0.3
    assert drawn[0] < 0.25


SURE = 0.995


def sure_after(algorithm: str, floor: float = 0.05) -> float:
    """Return after how many requests, at the median, the best arm's chance is at least .995 and stays so."""
    doubtful = played(STILL, algorithm, None, floor).chances[:, :, 1] < SURE
    updates = len(doubtful)
    last = np.where(doubtful.any(axis=0), updates - 1 - doubtful[::-1].argmax(axis=0), -1)
    return float(np.median(np.where(last < updates - 1, (last + 2) * PORTION + STILL.delay, np.inf)))


def test_top_two_knows_the_best_arm_much_sooner_than_thompson_sampling_and_as_soon_as_equal_shares() -> None:
    """What its greater regret buys: it goes on comparing the best with the runner-up, which tells them apart."""
    top_two, thompson, equal = sure_after("top_two"), sure_after("thompson"), sure_after("thompson", floor=1 / 3)
    print(f"requests until the best arm is known: top-two {top_two:g}, equal {equal:g}, Thompson {thompson:g}")
    print(f"regret of 1,000: top-two {lost(STILL, 'top_two', None):.0f}, "
          f"Thompson {lost(STILL, 'thompson', None):.0f}")  # fmt: skip
    assert top_two < 0.6 * thompson
    assert top_two < 1.1 * equal  # and at two thirds of what equal shares lose


def test_with_a_half_life_it_finds_the_new_best_version_after_a_change() -> None:
    assert even(REQUESTS) == pytest.approx(1_666.7, abs=0.1)
    fading, for_good = (lost(REQUESTS, "thompson", half_life) for half_life in (5_000, None))
    print(f"regret of 1,667 with a change: Thompson {for_good:.0f}, with a half-life {fading:.0f}")
    assert fading < 0.5 * even(REQUESTS)
    assert fading < for_good


def test_no_version_is_ever_drawn_less_often_than_the_floor() -> None:
    found = played(REQUESTS, "thompson", 5_000)
    assert found.shares.min() >= 0.05 - 1e-12
    assert np.allclose(found.shares.sum(axis=2), 1.0)
    assert min(np.bincount(one, minlength=3).min() for one in found.arms[:, -10_000:]) > 300


PLAYS = {
    "Thompson sampling": (REQUESTS, rule("thompson", 5_000)),
    "top-two": (REQUESTS, rule("top_two", 5_000)),
    "Thompson sampling by episodes": (EPISODES, rule("thompson", 1_250, per="episode")),
    "top-two by episodes": (EPISODES, rule("top_two", 1_250, per="episode")),
}


@pytest.mark.parametrize("name", PLAYS)
def test_intervals_cover_at_every_unit_under_shares_that_follow_the_rewards(name: str) -> None:
    """Each of two challengers against the champion, over 50,000 requests; one reward in twenty never comes."""
    world, how = PLAYS[name]
    left = np.zeros(2, dtype=int)
    for seed in range(COVERED // AT_ONCE):
        found = play(world, how, AT_ONCE, 1_000 + seed)
        left += [sum(ever_left(world, found, run, arm, 0.05) for run in range(AT_ONCE)) for arm in (1, 2)]
    print(f"{name}: {left[0]} and {left[1]} of {COVERED} intervals left what is true")
    assert left.max() <= most(COVERED, 0.05)


def test_such_an_interval_is_not_so_wide_that_it_would_cover_anything() -> None:
    challenged, p, losses, _ = compared(REQUESTS, played(REQUESTS, "thompson", 5_000), 0, 1)
    means, _ = running_means(challenged, losses, (0, 0.0, 0, 0.0), 0.5, 1.0)
    w, x, v = drawn_terms(challenged, p, losses, means)
    low, high = interval(float(w.sum()), float(x.sum()), float(v.sum()), 1.0, 0.05)
    assert (high - low) / 2.0 < 0.03


def pooled_misses(run: int) -> bool:
    """Compare plain means of both arms once, at the end, as if shares had never moved."""
    challenged, p, losses, true = compared(REQUESTS, played(REQUESTS, "thompson", 5_000), run, 1)
    theirs, ours = losses[challenged], losses[~challenged]
    weight = p * (1.0 - p)
    away = theirs.mean() - ours.mean() - (weight * true).sum() / weight.sum()
    return bool(abs(away) > 1.96 * np.sqrt(theirs.var() / len(theirs) + ours.var() / len(ours)))


def test_plain_means_of_the_arms_miss_under_moving_shares() -> None:
    missed = sum(pooled_misses(run) for run in range(RUNS))
    print(f"plain means missed in {missed} of {RUNS}")
    assert missed > 0.15 * RUNS  # chance .002 at a true .05


# what is played side by side is what the product does


def some(random: np.random.Generator) -> list[Earned]:
    """Return three arms that earned somewhat different amounts, after few or many units."""
    n = int(random.integers(20, 3_000))
    met = [(random.random(n) < rate).astype(float) for rate in random.uniform(0.1, 0.16, 3)]
    return [Earned().add(one, np.full(n, 0.3), np.arange(n), None) for one in met]


def test_the_chances_that_are_integrated_are_those_that_the_product_draws() -> None:
    random = np.random.default_rng(1)
    for number in range(40):
        earned = some(random)
        sought, found = expected([earned])[0], chances(earned, number)
        assert np.abs(found - sought).max() < 4.5 * math.sqrt(0.25 / DRAWS)
        allowed = 4.5 * np.sqrt(sought * (1.0 - sought) / DRAWS) + 1e-3
        assert (np.abs(found - sought) < allowed).all()


@pytest.mark.parametrize("half_life", [None, 700])
def test_sums_of_many_runs_are_those_of_each(half_life: int | None) -> None:
    random, runs, units = np.random.default_rng(2), 3, 1_200
    arms, rewards = random.integers(-1, 3, (runs, units)), (random.random((runs, units)) < 0.2).astype(float)
    shares = random.dirichlet([5.0, 5.0, 5.0], (units, runs))
    sums = np.zeros((5, runs, 3))
    for part in (slice(0, 500), slice(500, 1_200)):
        sums = add(sums, arms[:, part], rewards[:, part], shares[part], half_life)
    for run, together in enumerate(earnings(sums)):
        for arm, one in enumerate(together):
            met = arms[run] == arm
            alone = Earned().add(rewards[run, met], shares[met, run, arm], np.flatnonzero(met), half_life)
            assert one.beta() == pytest.approx(alone.beta(), rel=1e-9)
            assert (one.n, one.mean, one.units) == pytest.approx((alone.n, alone.mean, alone.units), rel=1e-9)


def test_runs_side_by_side_end_as_those_whose_chances_the_product_draws() -> None:
    world, how, runs = World(units=20_000), rule("top_two", 5_000), 40
    quickly, really = play(world, how, runs, 3), play(world, how, runs, 4, choose=real)
    one, other = regrets(world, quickly), regrets(world, really)
    assert abs(one.mean() - other.mean()) < 3.3 * math.sqrt((one.var() + other.var()) / runs)
    one, other = (found.shares[-10:, :, 2].mean(axis=0) for found in (quickly, really))
    assert abs(one.mean() - other.mean()) < 3.3 * math.sqrt((one.var() + other.var()) / runs)


def pending_as_nothing(seed: int, wait: tuple[int, int]) -> float:
    """Return the share of the better arm at the end if rewards that have not come yet were taken for zeros."""
    random = np.random.default_rng(seed)
    earned, given = [Earned(), Earned()], np.full(2, 0.5)
    for start in range(0, 10_000, PORTION):
        met = random.random(PORTION) < given[1]
        for arm, rate in ((0, 0.10), (1, 0.14)):
            rewards = (random.random(PORTION) < rate)[met == bool(arm)].astype(np.float64)
            come = random.random(len(rewards)) < np.exp(-wait[arm] / PORTION)
            at = np.full(len(rewards), start)
            earned[arm] = earned[arm].add(rewards * come, np.full(len(rewards), given[arm]), at, None)
        given = allocate(chances(earned, seed + start), rule("thompson", None), earned)
    return float(given[1])


def test_rewards_that_are_late_must_not_be_taken_for_zeros() -> None:
    """The better arm's rewards take longer; who counts them as nothing until they come draws the worse arm."""
    assert np.mean([pending_as_nothing(seed, (0, 0)) for seed in range(10)]) > 0.8
    assert np.mean([pending_as_nothing(seed, (0, 400)) for seed in range(10)]) < 0.3
