"""Off-policy intervals on synthetic logs of known value, with shares that an allocation chose from what it earned."""

import numpy as np
from tests.statistics.simulate import LONG, either, most

from mainspring.release.offpolicy.frame import Found
from mainspring.release.offpolicy.policies import Waits, replayed
from mainspring.release.offpolicy.value import Draws, terms, value
from mainspring.release.outlook import allocation_of
from mainspring.release.policy import Bandit

RUNS, UNITS, ARMS = (2_000 if LONG else 500), 1_500, 3
MEANS = np.array([0.15, 0.25, 0.4])


def log(random: np.random.Generator) -> tuple[Draws, np.ndarray]:
    """Return a bandit's log, floored at .05, and each unit's mean reward by arm (units, arms): it differs by hour."""
    hour = 0.6 * np.sin(np.arange(UNITS) / 90.0)[:, None] * np.array([0.1, 0.2, -0.2])
    level = MEANS + hour
    arm, offered, reward = np.empty(UNITS, dtype=np.int64), np.empty((UNITS, ARMS)), np.empty(UNITS)
    won, lost = np.ones(ARMS), np.ones(ARMS)
    for start in range(0, UNITS, 100):
        part = slice(start, start + 100)
        best = np.bincount(random.beta(won, lost, (200, ARMS)).argmax(axis=1), minlength=ARMS) / 200.0
        share = 0.05 + (1.0 - 0.05 * ARMS) * best
        offered[part] = share
        arm[part] = random.choice(ARMS, 100, p=share)
        reward[part] = random.random(100) < level[part][np.arange(100), arm[part]]
        won += np.bincount(arm[part], weights=reward[part], minlength=ARMS)
        lost += np.bincount(arm[part], weights=1.0 - reward[part], minlength=ARMS)
    return Draws(arm, offered, reward), level


def replay(draws: Draws) -> np.ndarray:
    """Return what top-two sampling would have drawn on a log, in which an hour is a hundred units."""
    n = len(draws.arm)
    found = Found(draws, ("a", "b", "c"), 0, np.arange(n) * 36_000_000, draws.reward)
    policy = Bandit(algorithm="top_two", update="1h", floor=0.1)
    return replayed(policy, allocation_of(policy, 0), found, ("a", "b", "c"), Waits(0, 1_800_000_000))


def test_the_interval_of_a_bandit_that_learns_from_the_log_holds_at_every_look() -> None:
    random, runs = np.random.default_rng(7), (2_000 if LONG else 200)
    s, v = np.empty((runs, UNITS)), np.empty((runs, UNITS))
    for run in range(runs):
        draws, level = log(random)
        target = replay(draws)
        y, v[run], _ = terms(draws, target, 0.0, 1.0, 20.0)
        s[run] = y - (target * level).sum(axis=1)
    assert either(s, v, 20.0, 0.05).sum() <= most(runs, 0.05)
    assert target[-1, 2] > 0.4  # it has moved to the best arm


def test_shares_that_know_the_reward_of_their_own_unit_err() -> None:
    """The control: what was drawn well is drawn again, as if the policy had known."""
    random, wrong = np.random.default_rng(8), 0
    for _ in range(100):
        draws, level = log(random)
        target = np.full((UNITS, ARMS), 0.1)
        better = np.where(draws.reward > 0, draws.arm, (draws.arm + 1) % ARMS)
        target[np.arange(UNITS), better] = 0.8
        y, v, _ = terms(draws, target, 0.0, 1.0, 20.0)
        wrong += int(either((y - (target * level).sum(axis=1))[None], v[None], 20.0, 0.05).sum())
    assert wrong > 2 * most(100, 0.05)


def missed(random: np.random.Generator, target: np.ndarray, clip: float) -> int:
    """Return in how many of the runs the test ever rejects the value that was true of the units seen so far."""
    s, v = np.empty((RUNS, UNITS)), np.empty((RUNS, UNITS))
    for run in range(RUNS):
        draws, level = log(random)
        wanted = np.tile(target, (UNITS, 1))
        y, v[run], _ = terms(draws, wanted, 0.0, 1.0, clip)
        s[run] = y - (wanted * level).sum(axis=1)
    return int(either(s, v, clip, 0.05).sum())


def test_the_interval_of_a_policy_holds_at_every_look_on_a_bandits_log() -> None:
    assert missed(np.random.default_rng(1), np.array([0.0, 1.0, 0.0]), 20.0) <= most(RUNS, 0.05)


def test_an_arms_plain_mean_with_its_usual_interval_errs_on_the_same_logs() -> None:
    """What a bandit draws follows from what it earned, and hours differ: the mean of what was met means little."""
    random, wrong = np.random.default_rng(2), 0
    for _ in range(200):
        draws, level = log(random)
        met = draws.arm == 1
        n, won = np.cumsum(met), np.cumsum(np.where(met, draws.reward, 0.0))
        truth = np.cumsum(level[:, 1]) / np.arange(1, UNITS + 1)
        mean = won / np.maximum(n, 1)
        reach = 1.96 * np.sqrt(mean * (1.0 - mean) / np.maximum(n, 1))
        wrong += bool((np.abs(mean - truth) > reach)[n >= 30].any())
    assert wrong > 2 * most(200, 0.05)


def test_it_is_not_a_dead_interval_and_clipping_keeps_it_right() -> None:
    random, widths, clipped = np.random.default_rng(3), [], 0
    for _ in range(200):
        draws, level = log(random)
        target = np.tile([0.0, 0.0, 1.0], (UNITS, 1))
        found, short = value(draws, target, 0.0, 1.0), value(draws, target, 0.0, 1.0, clip=4.0)
        widths.append(found.high - found.low)
        clipped += not short.low <= level[:, 2].mean() <= short.high
    assert np.median(widths) < 0.35
    assert clipped <= most(200, 0.05)
