"""The policy of fixed shares and a business metric."""

from __future__ import annotations

import math

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.checked import (
    OnDeadline,
    check_between,
    check_count,
    check_margin,
    check_spans,
    checked_width,
    unless_agreed,
)
from mainspring.release.policy.judged import check_errors, check_judges
from mainspring.release.policy.metrics import Judge


class ABTest(msgspec.Struct, frozen=True, tag="ab_test", forbid_unknown_fields=True):
    """Let a challenger answer for a fixed share of units, and compare what comes of it: the outcome as a reward.

    The outcome's value is the reward, between the stated ``low`` and ``high`` (values beyond are cut, and counted);
    with None for both nothing is cut, and all that is proven is asymptotic: from 500 units an arm on, while no unit
    brings more than a fiftieth of what is uncertain. The challenger is promoted once its mean reward is proven greater
    than the champion's (with a ``margin`` above 0: not smaller by that much), and stopped once it is proven smaller;
    the tests may be looked at at any time. Without either it ends at the ``horizon``, or as soon as the interval of the
    difference is at most ``precision`` to each side. Beside the reward, ``metrics`` must be proven not worse, and
    ``guards`` stop the test (see ``ms.metrics``).

    >>> ABTest(share=0.5, low=0.0, high=40.0, horizon="28d", precision=0.5).high
    40.0
    """

    share: float = 0.5
    low: float | None = 0.0
    high: float | None = 1.0
    margin: float = 0.0
    horizon: str = "28d"
    precision: float | None = None
    on_deadline: OnDeadline = "return"
    minimum_units: int = 500
    window: str = "7d"
    alpha_promote: float = 0.05
    alpha_stop: float = 0.01
    failure_margin: float = 0.01
    late_margin: float = 0.01
    metrics: tuple[Judge, ...] = ()
    guards: tuple[Judge, ...] = ()
    approval: Approval | None = None
    holdout: float = 0.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_between("share", self.share, 0.0, 1.0)
        width = checked_width(self.low, self.high)
        check_between("margin", self.margin, 0.0, math.inf, closed=True)
        check_margin(self.margin, width)
        check_spans(self, "horizon", positive=True)
        check_spans(self, "window")
        if self.precision is not None:
            check_between("precision", self.precision, 0.0, math.inf if width is None else width)
        check_count("minimum_units", self.minimum_units)
        check_errors(self)
        check_judges(self, "reward")
        if parse_duration(self.horizon) < parse_duration(self.window):
            remedy = f"give it more than the window of {self.window}"
            raise InvalidInput("ends before one unit's window does", field="horizon", value=self.horizon, remedy=remedy)
