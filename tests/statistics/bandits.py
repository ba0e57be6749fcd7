"""Bandits played many at once: draws, delays, rewards and shares of all runs move together, from update to update.

What decides is the product's own: ``Earned`` holds what was earned, ``allocate`` sets the shares, and they move only if
by ``MOVED``. A version's chance to be the best, which ``chances`` finds by 4,000 draws, is integrated here and those
draws are made in one stroke, as a multinomial: ``test_bandit.py`` holds this against the product's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mainspring.release.evidence.drawn import drawn_terms, running_means
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import peak
from mainspring.release.several import MOVED
from mainspring.release.shares import DRAWS, allocate, chances
from mainspring.release.terms import Allocation

ARMS = 3
BEFORE, AFTER = np.array([0.10, 0.14, 0.12]), np.array([0.10, 0.08, 0.16])
NEVER = 0.05  # of rewards are never known
GRID = 256
Chooser = Callable[[Sequence[Sequence[Earned]], np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class World:
    """``units`` are drawn for one by one; shares are set every ``portion``, a reward is known ``delay`` units later.

    A unit asks ``asks`` times, within ``window`` units from its first request, and its reward is the mean of theirs,
    about a level of its own; those whose window spans a change of shares are left out.
    """

    units: int = 50_000
    portion: int = 500
    delay: int = 1_000
    asks: int = 1
    window: int = 0
    changes: bool = True

    def rates(self) -> np.ndarray:
        """Return each unit's mean reward by arm, (units, arms)."""
        return np.where((np.arange(self.units)[:, None] < self.units // 2) | (not self.changes), BEFORE, AFTER)


REQUESTS = World()
EPISODES = World(units=12_500, portion=125, delay=250, asks=4, window=25)  # 50,000 requests, too


@dataclass(frozen=True)
class Played:
    """What each run met, (runs, units): arms, rewards (NaN: never known) and which units count.

    ``shares`` of each portion, and the ``chances`` to be the best that each update saw, are (…, runs, arms).
    """

    arms: np.ndarray
    rewards: np.ndarray
    counts: np.ndarray
    shares: np.ndarray
    chances: np.ndarray


def expected(earned: Sequence[Sequence[Earned]]) -> np.ndarray:
    """Return each version's chance (runs, arms) to have the greatest mean, integrated over the Beta distributions."""
    shapes = np.array([[one.beta() for one in run] for run in earned])
    a, b = shapes[..., 0], shapes[..., 1]
    mean = a / (a + b)
    spread = np.sqrt(mean * (1.0 - mean) / (a + b + 1.0))
    low = np.clip((mean - 7.0 * spread).min(axis=1), 1e-9, None)
    high = np.clip((mean + 9.0 * spread).max(axis=1), None, 1.0 - 1e-9)
    at = low[:, None] + (high - low)[:, None] * (np.arange(GRID) + 0.5) / GRID
    density = (a - 1.0)[..., None] * np.log(at)[:, None] + (b - 1.0)[..., None] * np.log1p(-at)[:, None]
    density = np.exp(density - density.max(axis=-1, keepdims=True))
    density /= density.sum(axis=-1, keepdims=True)
    below = np.cumsum(density, axis=-1) - 0.5 * density
    others = [np.prod(np.delete(below, arm, axis=1), axis=1) for arm in range(ARMS)]
    found = np.stack([(density[:, arm] * others[arm]).sum(axis=-1) for arm in range(ARMS)], axis=1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def quick(earned: Sequence[Sequence[Earned]], random: np.random.Generator) -> np.ndarray:
    """Return chances (runs, arms) as 4,000 draws of each would have told them."""
    return np.asarray(random.multinomial(DRAWS, expected(earned)) / DRAWS)


def real(earned: Sequence[Sequence[Earned]], random: np.random.Generator) -> np.ndarray:
    """Return chances (runs, arms) as the product draws them."""
    seeds = random.integers(2**60, size=len(earned)).tolist()
    return np.stack([chances(run, seed) for run, seed in zip(earned, seeds, strict=True)])


def play(world: World, how: Allocation, runs: int, seed: int, choose: Chooser = quick) -> Played:
    """Play ``runs`` bandits side by side."""
    random, rates = np.random.default_rng(seed), world.rates()
    arms = np.empty((runs, world.units), dtype=np.int8)
    rewards = np.empty((runs, world.units), dtype=np.float32)
    counts = np.ones((runs, world.units), dtype=bool)
    sums, counted, seen, shares = np.zeros((5, runs, ARMS)), 0, [], []
    given = np.full((runs, ARMS), 1.0 / ARMS)
    for start in range(0, world.units, world.portion):
        mature = max(start - world.delay, 0)
        if mature > counted:
            part = slice(counted, mature)
            known = counts[:, part] & ~np.isnan(rewards[:, part])
            drawn = np.repeat(shares[counted // world.portion : mature // world.portion], world.portion, axis=0)
            sums = add(sums, np.where(known, arms[:, part], -1), rewards[:, part], drawn, how.half_life_us)
            counted = mature
            earned = earnings(sums)
            chance = choose(earned, random)
            wanted = np.stack([allocate(one, how, run) for one, run in zip(chance, earned, strict=True)])
            moves = np.abs(wanted - given)[:, 1:].max(axis=1) >= MOVED
            if world.window:
                counts[moves, start - world.window : start] = False
            given = np.where(moves[:, None], wanted, given)
            seen.append(chance)
        part = slice(start, start + world.portion)
        shares.append(given)
        met = (random.random((runs, world.portion))[..., None] >= np.cumsum(given, axis=1)[:, None, :-1]).sum(axis=-1)
        arms[:, part] = met
        rewards[:, part] = rewarded(
            random, world, np.take_along_axis(rates[None, part], met[..., None], axis=2)[..., 0]
        )
    return Played(arms, rewards, counts, np.array(shares), np.array(seen))


def rewarded(random: np.random.Generator, world: World, rate: np.ndarray) -> np.ndarray:
    """Return the rewards of units (runs, n) whose arm earns ``rate``; NaN where it is never known."""
    if world.asks == 1:
        found = (random.random(rate.shape) < rate).astype(np.float32)
    else:
        level = rate + random.choice([-0.06, 0.06], rate.shape)
        found = (random.binomial(world.asks, level) / world.asks).astype(np.float32)
    return np.where(random.random(rate.shape) < NEVER, np.float32(np.nan), found)


def add(
    sums: np.ndarray, arms: np.ndarray, rewards: np.ndarray, shares: np.ndarray, half_life: int | None
) -> np.ndarray:
    """Return Σw, Σw², Σwr, Σwr² and n (5, runs, arms) with these units added, as ``Earned.add`` adds them to one.

    ``arms`` and ``rewards`` are (runs, units), -1 where a unit does not count; ``shares`` are (units, runs, arms).
    """
    n = arms.shape[1]
    age = np.arange(n - 1, -1, -1.0)
    fresh, faded = (np.exp2(-age / half_life), 2.0 ** (-n / half_life)) if half_life else (np.ones(n), 1.0)
    reward = np.nan_to_num(rewards).astype(np.float64)
    found = np.empty_like(sums)
    for arm in range(ARMS):
        met = arms == arm
        w = np.where(met, fresh / shares[..., arm].T, 0.0)
        each = w, w * w, w * reward, w * reward**2, met
        found[:, :, arm] = [one.sum(axis=1) for one in each]
    return sums * np.array([faded, faded**2, faded, faded, 1.0])[:, None, None] + found


def earnings(sums: np.ndarray) -> list[list[Earned]]:
    """Return each run's arms as the product keeps them."""
    return [[Earned(*one[:4].tolist(), n=int(one[4])) for one in run.T] for run in sums.transpose(1, 0, 2)]


def regrets(world: World, played: Played) -> np.ndarray:
    """Return for each run the expected rewards lost against always the best arm."""
    rates = world.rates()
    met = rates[np.arange(world.units), played.arms]
    return np.asarray((rates.max(axis=1) - met).sum(axis=1))


def compared(world: World, played: Played, run: int, arm: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return, of the units that drew the champion or ``arm`` and count: whether ``arm``, how probable that was, the
    loss (0 where the reward is never known) and the true difference."""
    either = ((played.arms[run] == 0) | (played.arms[run] == arm)) & played.counts[run]
    shares = np.repeat(played.shares[:, run], world.portion, axis=0)[either]
    rewards = played.rewards[run, either].astype(np.float64)
    losses = np.where(np.isnan(rewards), 0.0, 1.0 - np.nan_to_num(rewards))
    rates = world.rates()[either]
    true = (1.0 - NEVER) * (rates[:, 0] - rates[:, arm])
    return played.arms[run, either] == arm, shares[:, arm] / (shares[:, 0] + shares[:, arm]), losses, true


def ever_left(world: World, played: Played, run: int, arm: int, alpha: float) -> bool:
    """Tell whether the interval of ``arm`` against the champion leaves the w-weighted truth at any unit."""
    challenged, p, losses, true = compared(world, played, run, arm)
    means, _ = running_means(challenged, losses, (0, 0.0, 0, 0.0), 0.5, 1.0)
    w, x, v = drawn_terms(challenged, p, losses, means)
    away, spread, needed = np.cumsum(x - w * true), np.cumsum(v), np.log(2.0 / alpha)
    return peak(away, spread, 1.0) >= needed or peak(-away, spread, 1.0) >= needed
