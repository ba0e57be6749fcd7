"""How a bandit shares traffic out: a pure function of what each version has earned, seeded, so that it repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mainspring.kernel.ids import digest_of
from mainspring.release.evidence.earned import Earned, bells
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.terms import Allocation

DRAWS = 4_000
LEADING = 0.5  # how often top-two asks the best version, rather than the runner-up
FEWEST_LOST = 40 / DRAWS  # share of the draws below which those that the leader loses are too few to count by winner


def seed_of(salt: str, at_us: int) -> int:
    """Return the seed of one allocation: of this release, at this moment."""
    return int(digest_of([salt, at_us])[:15], 16)


def chances(earned: Sequence[Earned], seed: int, *, bounded: bool = True) -> Floats:
    """Return each version's chance (k,) to have the greatest mean reward, given what came so far.

    Means of ``bounded`` rewards are drawn from Beta distributions, others from normal ones.

    >>> worse, better = Earned(100.0, 100.0, 20.0, 20.0, 100), Earned(100.0, 100.0, 60.0, 60.0, 100)
    >>> bool(chances([worse, better], seed=1)[1] > 0.99)
    True
    """
    random = np.random.default_rng(seed)
    if bounded:
        sampled = np.stack([random.beta(*one.beta(), size=DRAWS) for one in earned])
    else:
        mean, sd = bells(earned)
        sampled = mean[:, None] + sd[:, None] * random.standard_normal((len(earned), DRAWS))
    best = np.bincount(sampled.argmax(axis=0), minlength=len(earned))
    return np.asarray(best / DRAWS)


def allocate(chance: Floats, allocation: Allocation, earned: Sequence[Earned]) -> Floats:
    """Return the shares (k,), which add up to 1 and are nowhere below the floor.

    >>> rule = Allocation("thompson", "request", 1, 0.05, None, 0.95)
    >>> [round(float(share), 3) for share in allocate(np.array([0.0, 0.2, 0.8]), rule, [Earned()] * 3)]
    [0.05, 0.22, 0.73]
    """
    wanted = chance if allocation.algorithm == "thompson" else _top_two(chance, earned, bounded=allocation.bounded)
    floor = min(allocation.floor, 1.0 / len(chance))
    return np.asarray(floor + (1.0 - floor * len(chance)) * wanted, dtype=np.float64)


def _top_two(chance: Floats, earned: Sequence[Earned], *, bounded: bool) -> Floats:
    """Ask the best half of the time; else whichever is best in a draw that the best one does not win."""
    leader = int(chance.argmax())
    if chance[leader] > 1.0 - FEWEST_LOST:
        runner_up = _nearest(*(_betas(earned) if bounded else bells(earned)), leader)
    else:
        odds = chance / (1.0 - chance)
        runner_up = chance * (odds.sum() - odds)
    return np.asarray(LEADING * chance + (1.0 - LEADING) * runner_up / runner_up.sum(), dtype=np.float64)


def _nearest(mean: Floats, sd: Floats, leader: int) -> Floats:
    """Return how likely each version is to beat the leader, relative to one another, as normal tails tell.

    Where nearly no draw is lost by the leader, too few are left to tell who wins them.
    """
    from scipy.special import log_ndtr

    tails = log_ndtr((mean - mean[leader]) / np.sqrt(sd**2 + sd[leader] ** 2))
    tails[leader] = -np.inf
    return np.asarray(np.exp(tails - tails.max()))


def _betas(earned: Sequence[Earned]) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (k,) of the Beta distributions that means are drawn from."""
    shapes = np.array([one.beta() for one in earned])
    worth = shapes.sum(axis=1)
    mean = shapes[:, 0] / worth
    return mean, np.sqrt(mean * (1.0 - mean) / (worth + 1.0))
