"""The policy that moves traffic to whichever version earns more."""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.checked import (
    OnDeadline,
    check_between,
    check_count,
    check_spans,
    check_word,
    checked_width,
    unless_agreed,
)
from mainspring.release.policy.judged import check_errors


class Bandit(msgspec.Struct, frozen=True, tag="bandit", forbid_unknown_fields=True):
    """Draw among the champion and several challengers, more often those whose answers have earned more.

    The outcome's value is the reward, between ``low`` and ``high``, or, with None for both, without bounds and what is
    proven asymptotic. Every ``update`` the shares are set anew from rewards that are mature; one that has not come is
    pending, never a zero. ``algorithm`` is Thompson sampling (a version's share is its chance to be the best) or its
    top-two form, which keeps asking the runner-up and so knows the best one sooner. No version gets less than
    ``floor``. With a ``half_life`` old rewards count less, for rewards that change. Each request is drawn for itself,
    or, ``per="episode"``, each of the model's units.

    A version that fails grossly, or is proven to fail more often, is taken out. The best version is promoted once it is
    proven better than the champion and its chance to be the best is at least ``confidence``; without one the champion
    stays at the ``horizon``.

    >>> Bandit(algorithm="top_two", per="episode", update="1h", floor=0.05, half_life="7d").floor
    0.05
    """

    algorithm: Literal["thompson", "top_two"] = "thompson"
    per: Literal["request", "episode"] = "episode"
    update: str = "1h"
    floor: float = 0.05
    half_life: str | None = None
    low: float | None = 0.0
    high: float | None = 1.0
    confidence: float = 0.95
    horizon: str = "28d"
    on_deadline: OnDeadline = "return"
    minimum_units: int = 500
    window: str = "1d"
    alpha_promote: float = 0.05
    alpha_stop: float = 0.01
    failure_margin: float = 0.01
    late_margin: float = 0.01
    approval: Approval | None = None
    holdout: float = 0.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_word("algorithm", self.algorithm, ("thompson", "top_two"))
        check_word("per", self.per, ("request", "episode"))
        check_between("floor", self.floor, 0.0, 0.5)
        check_between("confidence", self.confidence, 0.5, 1.0)
        checked_width(self.low, self.high)
        check_spans(self, "update", "horizon", positive=True)
        check_spans(self, "window")
        if self.half_life is not None:
            check_spans(self, "half_life", positive=True)
        check_count("minimum_units", self.minimum_units)
        check_errors(self)
        if parse_duration(self.horizon) < parse_duration(self.update):
            remedy = f"give it more than the {self.update} to an update"
            raise InvalidInput("ends before the first update", field="horizon", value=self.horizon, remedy=remedy)
