"""What a release policy would have drawn at each unit of a log: fixed shares, or a bandit's own. Pure.

A bandit's shares follow from what the *log* had told by then: at each update they are set from logged rewards that were
mature, each weighted by its logged propensity. So they are known before the unit is drawn, and the test holds. That is
not quite the bandit that would have run, which learns from its own draws: where the log explores more, it
learns sooner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from mainspring.kernel.errors import Refused
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.losses import rewarding
from mainspring.release.offpolicy.frame import Found
from mainspring.release.policy import ABTest, Bandit, BlueGreen, Immediate, Policy, Shadow
from mainspring.release.several import MOVED
from mainspring.release.shares import allocate, chances, seed_of
from mainspring.release.terms import Allocation

SALT = "off-policy"


class Waits(msgspec.Struct, frozen=True):
    """How long a unit is watched and then waited for; with ``absent_is_negative`` silence by then is the reward 0."""

    window_us: int
    horizon_us: int
    absent_is_negative: bool = False


def shares_of(policy: Policy, champion: str, challengers: Sequence[str]) -> dict[str, float] | None:
    """Return the fixed shares that a policy draws by, None for a bandit; refused where they hang on evidence."""
    match policy:
        case Immediate() | BlueGreen():
            return {challengers[0]: 1.0}
        case Shadow():
            return {champion: 1.0}
        case ABTest():
            return {challengers[0]: policy.share, champion: 1.0 - policy.share}
        case Bandit():
            return None
    raise Refused(
        "moves its shares by paired evidence, which no draw tells", field="policy",
        value=str(policy.__struct_config__.tag),
        remedy="ask for one of its shares, such as --shares 4=0.25,champion=0.75, or rehearse it",
    )  # fmt: skip


def fixed(versions: Sequence[str], shares: Mapping[str, float], n: int) -> Floats:
    """Return the probabilities (n, k) of a policy that takes versions by fixed shares."""
    return np.tile(np.array([shares.get(version, 0.0) for version in versions]), (n, 1))


def replayed(policy: Bandit, rule: Allocation, found: Found, among: Sequence[str], waits: Waits) -> Floats:
    """Return the probabilities (n, k) by which a bandit among some versions, the champion first, would have drawn."""
    columns = [found.versions.index(version) for version in among]
    target = np.zeros((len(found.at_us), len(found.versions)))
    earned, counted = [Earned()] * len(among), 0
    given = np.full(len(among), 1.0 / len(among))
    mature_us = found.at_us + waits.window_us + waits.horizon_us
    start = 0
    while start < len(found.at_us):
        now_us = int(found.at_us[start])
        end = int(np.searchsorted(found.at_us, now_us + rule.update_us, side="left"))
        known = int(np.searchsorted(mature_us, now_us, side="right"))
        if known > counted:
            part = slice(counted, known)
            earned = [
                _more(policy, one, found, column, part, rule, waits)
                for one, column in zip(earned, columns, strict=True)
            ]
            counted = known
            shares = allocate(chances(earned, seed_of(SALT, now_us), bounded=rule.bounded), rule, earned)
            given = shares if np.abs(shares - given).max() >= MOVED else given
        target[start:end, columns] = given
        start = max(end, start + 1)
    return target


def _more(
    policy: Bandit, earned: Earned, found: Found, column: int, part: slice, rule: Allocation, waits: Waits
) -> Earned:
    reward, met = found.told[part], found.draws.arm[part] == column
    if waits.absent_is_negative:
        reward = np.where(np.isfinite(reward), reward, 0.0)
    known = met & np.isfinite(reward)
    loss = rewarding(policy.low, policy.high)
    losses, _ = loss.of(np.zeros(int(known.sum())), reward[known])
    propensity = found.draws.offered[part][known, column]
    missing = int((met & ~known).sum())
    at_us = found.at_us[part][known]
    return earned.add(loss.worth(losses), propensity, at_us, rule.half_life_us, missing=missing)
