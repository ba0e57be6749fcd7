"""The value of a policy from another one's draws: doubly robust, with clipped weights and an always-valid interval.

Unit i was drawn to version A with logged probability p; the policy asked about would have taken version a with π(a).
With ``w = min(π(A)/p, M)`` and μ̂ the versions' mean rewards over *earlier* units, ``Y = Σ π(a) μ̂(a) + w (r - μ̂(A))``.
ΣY/n estimates the mean value over the units seen. ``V`` sums ``(w (r - μ̂))²``, ``c = M B``, and the interval inverts
the test of a release. What clipping takes away is at most ``B Σ p(a) (π(a)/p(a) - M)⁺``, which is known; the interval
is widened by it, so it holds with clipping too.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.kernel.errors import Refused
from mainspring.release.evidence.asymptotic import PLANNED_UNITS, unreadable
from mainspring.release.evidence.drawn import PRIOR_UNITS
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.sequence import sequence

LEAST_EFFECTIVE = 200.0
GREATEST_WEIGHT = 50.0
ALPHA = 0.05


class Draws(msgspec.Struct, frozen=True):
    """What was drawn, in the order of assignment: ``arm`` (n,) indexes versions, ``offered`` (n, k) is what each
    version's probability was, ``reward`` (n,) what came of it, within [low, high].
    """

    arm: NDArray[np.int64]
    offered: Floats
    reward: Floats


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy's mean reward over the units seen, with an interval that holds at every look.

    ``self_normalised`` is Σwr/Σw, a point without an interval. ``weight_mean`` should be near 1: if it is not, the
    logged propensities are doubtful. ``effective_units`` is (Σw)²/Σw²; ``clipped_units`` had a weight above ``clip``.
    An ``asymptotic`` interval holds in the limit of many units: the reward has no bounds.
    """

    estimate: float
    low: float
    high: float
    self_normalised: float
    units: int
    effective_units: float
    weight_mean: float
    weight_most: float
    clip: float
    clipped_units: int
    winsorised: int
    asymptotic: bool = False


def terms(draws: Draws, target: Floats, low: float, high: float, clip: float) -> tuple[Floats, Floats, int]:
    """Return Y and V's terms, each (n,), on [0, high - low], and how many rewards lay outside; ``target`` is (n, k)."""
    bound = high - low
    outside = (draws.reward < low - 1e-12) | (draws.reward > high + 1e-12)
    reward = np.clip(draws.reward, low, high) - low
    weight = np.minimum(weights(draws, target), clip)
    means = earlier_means(draws.arm, reward, draws.offered.shape[1], bound / 2.0)
    place = np.arange(len(draws.arm))
    residual = weight * (reward - means[place, draws.arm])
    return (target * means).sum(axis=1) + residual, residual * residual, int(outside.sum())


def weights(draws: Draws, target: Floats) -> Floats:
    """Return each unit's weight before clipping: π(A)/p."""
    place = np.arange(len(draws.arm))
    return np.asarray(target[place, draws.arm] / draws.offered[place, draws.arm])


def earlier_means(arm: NDArray[np.int64], reward: Floats, arms: int, prior: float) -> Floats:
    """Return μ̂ of every version (n, k) from the units before each one."""
    met = arm[:, None] == np.arange(arms)
    counts = np.cumsum(met, axis=0) - met
    paid = np.where(met, reward[:, None], 0.0)
    totals = np.cumsum(paid, axis=0) - paid
    return np.asarray((totals + PRIOR_UNITS * prior) / (counts + PRIOR_UNITS))


def value(
    draws: Draws, target: Floats, low: float, high: float, *, clip: float | None = None, alpha: float = ALPHA
) -> Value:
    """Return the value of a policy, or refuse where the draws cannot tell it.

    ``clip`` is M; without one it is the greatest weight that the logged probabilities allow, so nothing is clipped.
    """
    sample = _sample(draws, target)
    clip = sample.most if clip is None else min(clip, sample.most)
    bound, n = high - low, sample.units
    y, v, winsorised = terms(draws, target, low, high, clip)
    lost = bound * float((draws.offered * np.maximum(sample.possible - clip, 0.0)).sum()) / n
    exact = sequence(clip * bound, 0.0, alpha)
    lower, upper = exact.interval(float(n), float(y.sum()), float(v.sum()), alpha)
    return sample.valued(
        low + float(y.mean()),
        (low + max(0.0, lower - lost), low + min(bound, upper + lost)),
        np.clip(draws.reward, low, high),
        clip=clip,
        winsorised=winsorised,
    )


def unbounded_value(draws: Draws, target: Floats, *, alpha: float = ALPHA) -> Value:
    """Return the value of a policy whose rewards have no bounds, with an asymptotic interval, or refuse."""
    sample = _sample(draws, target)
    means = earlier_means(draws.arm, draws.reward, draws.offered.shape[1], 0.0)
    place = np.arange(sample.units)
    residual = sample.weight * (draws.reward - means[place, draws.arm])
    y, squares = (target * means).sum(axis=1) + residual, residual * residual
    v = float(squares.sum())
    met = np.bincount(draws.arm, minlength=draws.offered.shape[1])[(target > 0).any(axis=0)]
    why = unreadable(float(squares.max()), v, int(met.min()))
    if why:
        raise Refused(
            f"{why}: an interval without bounds would err", field="low",
            remedy="give --low and --high; what lies outside is cut to them and counted",
        )  # fmt: skip
    of = sequence(None, v / sample.units * PLANNED_UNITS, alpha)
    span = of.interval(float(sample.units), float(y.sum()), v, alpha)
    return sample.valued(float(y.mean()), span, draws.reward, clip=sample.most, winsorised=0, asymptotic=True)


class _Sample(msgspec.Struct, frozen=True):
    """The weights of draws that can tell a policy's value; ``possible`` (n, k) are those of every version."""

    weight: Floats
    possible: Floats
    effective: float

    @property
    def units(self) -> int:
        return len(self.weight)

    @property
    def most(self) -> float:
        return float(self.possible.max())

    def valued(
        self,
        estimate: float,
        span: tuple[float, float],
        reward: Floats,
        *,
        clip: float,
        winsorised: int,
        asymptotic: bool = False,
    ) -> Value:
        return Value(
            estimate=estimate,
            low=span[0],
            high=span[1],
            self_normalised=float((self.weight * reward).sum() / self.weight.sum()),
            units=self.units,
            effective_units=self.effective,
            weight_mean=float(self.weight.mean()),
            weight_most=float(self.weight.max()),
            clip=clip,
            clipped_units=int((self.weight > clip * (1.0 + 1e-12)).sum()),
            winsorised=winsorised,
            asymptotic=asymptotic,
        )


def _sample(draws: Draws, target: Floats) -> _Sample:
    check_support(draws, target)
    possible = np.divide(target, draws.offered, out=np.zeros_like(target), where=target > 0)
    weight = weights(draws, target)
    effective = float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0
    _check_weights(effective, float(possible.max()))
    return _Sample(weight, possible, effective)


def check_support(draws: Draws, target: Floats) -> None:
    """Refuse a policy that would have done what was never possible: no weight can tell what would have come of it."""
    if not len(draws.arm):
        raise Refused("no unit was drawn in that time, so there is nothing to value a policy by", field="from")
    missing = int(((target > 0) & (draws.offered <= 0)).any(axis=1).sum())
    if missing:
        raise Refused(
            f"support is missing: {missing} of {len(draws.arm)} units could not be drawn to what the policy "
            "would have chosen", field="policy", remedy="name a time in which every version of it was drawn",
        )  # fmt: skip


def _check_weights(effective: float, most: float) -> None:
    if most > GREATEST_WEIGHT:
        raise Refused(
            f"a unit may count {most:.0f} times, more than {GREATEST_WEIGHT:.0f}: a few units would decide",
            field="weight", value=round(most, 1), remedy="raise the exploration floor, or value a policy nearer to it",
        )  # fmt: skip
    if effective < LEAST_EFFECTIVE:
        raise Refused(
            f"the effective sample is {effective:.0f} units, fewer than {LEAST_EFFECTIVE:.0f}", field="units",
            value=round(effective, 1), remedy="wait for more draws, or name a longer time",
        )  # fmt: skip
