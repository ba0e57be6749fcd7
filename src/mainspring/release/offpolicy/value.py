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
from mainspring.release.evidence.drawn import PRIOR_UNITS
from mainspring.release.evidence.eprocess import Floats, interval

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
    check_support(draws, target)
    possible = np.divide(target, draws.offered, out=np.zeros_like(target), where=target > 0)
    bound, most = high - low, float(possible.max())
    weight = weights(draws, target)
    effective = float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0
    _check_weights(effective, most)
    clip = most if clip is None else min(clip, most)
    y, v, winsorised = terms(draws, target, low, high, clip)
    n = len(y)
    lost = bound * float((draws.offered * np.maximum(possible - clip, 0.0)).sum()) / n
    lower, upper = interval(float(n), float(y.sum()), float(v.sum()), clip * bound, alpha)
    return Value(
        estimate=low + float(y.mean()),
        low=low + max(0.0, lower - lost),
        high=low + min(bound, upper + lost),
        self_normalised=float((weight * np.clip(draws.reward, low, high)).sum() / weight.sum()),
        units=n,
        effective_units=effective,
        weight_mean=float(weight.mean()),
        weight_most=float(weight.max()),
        clip=clip,
        clipped_units=int((weight > clip * (1.0 + 1e-12)).sum()),
        winsorised=winsorised,
    )


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
