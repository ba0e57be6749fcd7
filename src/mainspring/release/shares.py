"""How a bandit shares traffic out: a pure function of what each version has earned, seeded, so that it repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mainspring.kernel.ids import digest_of
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.terms import Allocation

DRAWS = 4_000
LEADING = 0.5  # how often top-two asks the best version, rather than the runner-up


def seed_of(salt: str, at_us: int) -> int:
    """Return the seed of one allocation: of this release, at this moment."""
    return int(digest_of([salt, at_us])[:15], 16)


def chances(earned: Sequence[Earned], seed: int) -> Floats:
    """Return each version's chance (k,) to have the greatest mean reward, given what came so far.

    >>> worse, better = Earned(100.0, 100.0, 20.0, 20.0, 100), Earned(100.0, 100.0, 60.0, 60.0, 100)
    >>> bool(chances([worse, better], seed=1)[1] > 0.99)
    True
    """
    random = np.random.default_rng(seed)
    sampled = np.stack([random.beta(*one.beta(), size=DRAWS) for one in earned])
    best = np.bincount(sampled.argmax(axis=0), minlength=len(earned))
    return np.asarray(best / DRAWS)


def allocate(chance: Floats, allocation: Allocation) -> Floats:
    """Return the shares (k,), which add up to 1 and are nowhere below the floor.

    >>> rule = Allocation("thompson", "request", 1, 0.05, None, 0.95)
    >>> [round(float(share), 3) for share in allocate(np.array([0.0, 0.2, 0.8]), rule)]
    [0.05, 0.22, 0.73]
    """
    wanted = chance if allocation.algorithm == "thompson" else _top_two(chance)
    floor = min(allocation.floor, 1.0 / len(chance))
    return np.asarray(floor + (1.0 - floor * len(chance)) * wanted, dtype=np.float64)


def _top_two(chance: Floats) -> Floats:
    """Ask the best half of the time; else whichever is best when the best one is left out."""
    others = 1.0 - chance
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(others > 1e-12, chance / others, 0.0)
    runner_up = chance * (odds.sum() - odds)
    certain = others <= 1e-12
    if certain.any():  # nobody else was ever best: the others share what is left evenly
        runner_up = np.where(certain, 0.0, 1.0 / max(len(chance) - 1, 1))
    return np.asarray(LEADING * chance + (1.0 - LEADING) * runner_up, dtype=np.float64)
