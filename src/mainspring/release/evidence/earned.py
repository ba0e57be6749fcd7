"""What one version has earned: rewards of matured units, weighted so that shares that moved do not mislead.

Each unit counts with one over the probability of the version that it met, so that hours in which a version was drawn
more often weigh no more than others; with a half-life, old units count less. The sums are scaled to one moment, so it
makes no difference in which portions units were added: the state can be rebuilt from the log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.eprocess import Floats


class Earned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over a version's matured units with a reward: Σw, Σw², Σwr, Σwr², as they weigh at ``as_of_us``.

    Rewards with bounds are in [0, 1].

    ``n`` units had a reward in time, ``missing`` had none, and the rewards of ``pending`` may still come: those are
    in no sum.
    """

    weight: float = 0.0
    squares: float = 0.0
    total: float = 0.0
    total_squares: float = 0.0
    n: int = 0
    missing: int = 0
    pending: int = 0
    as_of_us: int = 0

    def add(
        self,
        rewards: Floats,
        propensity: Floats,
        at_us: NDArray[np.int64],
        half_life_us: int | None,
        *,
        missing: int = 0,
    ) -> Earned:
        """Return the sums with more units; ``at_us`` is when each was asked."""
        if len(rewards) == 0:
            return msgspec.structs.replace(self, missing=self.missing + missing)
        as_of_us = max(self.as_of_us, int(at_us.max()))
        faded = _faded(as_of_us - self.as_of_us, half_life_us) if self.n else 0.0
        age = (as_of_us - at_us).astype(np.float64)
        w = (np.exp2(-age / half_life_us) if half_life_us else np.ones(len(rewards))) / propensity
        return Earned(
            weight=self.weight * faded + float(w.sum()),
            squares=self.squares * faded * faded + float((w * w).sum()),
            total=self.total * faded + float((w * rewards).sum()),
            total_squares=self.total_squares * faded + float((w * rewards * rewards).sum()),
            n=self.n + len(rewards),
            missing=self.missing + missing,
            pending=self.pending,
            as_of_us=as_of_us,
        )

    @property
    def mean(self) -> float:
        """Return the mean reward, a half where none is known."""
        return self.total / self.weight if self.weight > 0 else 0.5

    @property
    def units(self) -> float:
        """Return how many equally weighted units say as much."""
        return self.weight * self.weight / self.squares if self.squares > 0 else 0.0

    def beta(self) -> tuple[float, float]:
        """Return the parameters of a Beta distribution of the mean, as spread out as the rewards themselves make it.

        The rewards have bounds.
        """
        mean = min(max(self.mean, 1e-6), 1.0 - 1e-6)
        widest = mean * (1.0 - mean)
        seen = max(self.total_squares / self.weight - self.mean**2, 0.0) if self.weight > 0 else widest
        variance = (self.units * seen + PRIOR_UNITS * widest) / (self.units + PRIOR_UNITS)
        worth = self.units * min(widest / max(variance, 1e-9), MOST_WORTH)
        return 1.0 + worth * mean, 1.0 + worth * (1.0 - mean)


def bells(earned: Sequence[Earned]) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (k,) of normal distributions of the versions' means; rewards have no bounds.

    What all have earned together stands for one unit of each mean, and for some of each spread, so no scale is assumed.

    >>> few, many = Earned(4.0, 4.0, 40.0, 500.0, 4), Earned(99.0, 99.0, 1_980.0, 42_075.0, 99)
    >>> [one.round(1).tolist() for one in bells([few, many])]
    [[11.9, 20.0], [2.4, 0.5]]
    """
    weight = sum(one.weight for one in earned)
    centre = sum(one.total for one in earned) / weight if weight else 0.0
    spread = max(sum(one.total_squares for one in earned) / weight - centre**2, 0.0) if weight else 0.0
    units = np.array([one.units for one in earned])
    means = np.array([one.total / one.weight if one.weight else centre for one in earned])
    squares = np.array([one.total_squares / one.weight if one.weight else centre**2 for one in earned])
    own = np.maximum(squares - means**2, 0.0)
    variance = (units * own + PRIOR_UNITS * (spread or 1.0)) / (units + PRIOR_UNITS)
    return (units * means + centre) / (units + 1.0), np.sqrt(variance / (units + 1.0))


PRIOR_UNITS = 10.0  # for how many units the widest possible spread counts
MOST_WORTH = 1_000.0


def _faded(elapsed_us: int, half_life_us: int | None) -> float:
    return math.exp2(-elapsed_us / half_life_us) if half_life_us else 1.0
