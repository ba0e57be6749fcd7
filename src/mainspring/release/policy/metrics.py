"""What else a release may be judged by, on the units that were drawn: rewards, slow answers, failures.

In a policy's ``metrics`` each must be proven not worse by its margin before anything is promoted, and stops the release
once it is proven worse at all; in its ``guards`` it only stops, once it is proven worse by more than its margin.
"""

from __future__ import annotations

import math

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput
from mainspring.release.policy.checked import check_between, check_margin, checked_width, unless_agreed


class Reward(msgspec.Struct, frozen=True, tag="reward", forbid_unknown_fields=True):
    """The outcome's value, the more the better, between ``low`` and ``high``; None for both is without bounds."""

    margin: float
    low: float | None = 0.0
    high: float | None = 1.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_between("margin", self.margin, 0.0, math.inf)
        check_margin(self.margin, checked_width(self.low, self.high))

    @property
    def name(self) -> str:
        return "reward"

    @property
    def bound(self) -> float | None:
        return None if self.low is None or self.high is None else self.high - self.low


class Slower(msgspec.Struct, frozen=True, tag="slower_than", forbid_unknown_fields=True):
    """The share of answers that took longer than ``limit``, the stable version's in place of a failed one included."""

    limit: str
    margin: float = 0.01

    @unless_agreed
    def __post_init__(self) -> None:
        if not parse_duration(self.limit, field="limit"):
            raise InvalidInput("must be longer than nothing", field="limit", value=self.limit)
        check_between("margin", self.margin, 0.0, 1.0)

    @property
    def name(self) -> str:
        return f"slower_than_{self.limit}"

    @property
    def bound(self) -> float:
        return 1.0

    @property
    def limit_us(self) -> int:
        return round(parse_duration(self.limit).total_seconds() * 1e6)


class Failures(msgspec.Struct, frozen=True, tag="failures", forbid_unknown_fields=True):
    """The share of requests that the version drawn could not answer."""

    margin: float = 0.01

    @unless_agreed
    def __post_init__(self) -> None:
        check_between("margin", self.margin, 0.0, 1.0)

    @property
    def name(self) -> str:
        return "failures"

    @property
    def bound(self) -> float:
        return 1.0


Judge = Reward | Slower | Failures


def reward(*, margin: float, low: float | None = 0.0, high: float | None = 1.0) -> Reward:
    """Judge by the outcome's value, the more the better, between the stated bounds.

    With None for both it has none: what is proven of it is asymptotic.

    >>> reward(low=0.0, high=40.0, margin=0.5).bound
    40.0
    """
    return Reward(margin, low, high)


def slower_than(limit: str, *, margin: float = 0.01) -> Slower:
    """Judge by the share of answers that took longer than a limit.

    >>> slower_than("50ms", margin=0.02).limit_us
    50000
    """
    return Slower(limit, margin)


def failures(*, margin: float = 0.01) -> Failures:
    """Judge by the share of requests that a version could not answer.

    >>> failures(margin=0.005).margin
    0.005
    """
    return Failures(margin)
