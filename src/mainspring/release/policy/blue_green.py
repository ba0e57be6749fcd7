"""The policy of one switch with a way back."""

from __future__ import annotations

import math

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.release.evidence.losses import Metric
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.checked import (
    check_approval,
    check_between,
    check_length,
    check_metric,
    check_spans,
    unless_agreed,
)


class BlueGreen(msgspec.Struct, frozen=True, tag="blue_green", forbid_unknown_fields=True):
    """Warm the challenger up, let it answer everything in one switch, and keep the champion warm for the way back.

    Both are loaded before the switch. For the time of ``keep`` the old version scores every row beside the new one and
    answers what the new one leaves open. One command gives everything back to it; so does gross failure, and any
    guard: failures beyond the old version's on the same rows, late answers beyond ``late_margin`` of all and, where a
    ``metric`` is named, a loss that is proven worse. After that time the new version is champion. The switch itself is
    made without evidence, and the ledger says so.

    >>> BlueGreen(keep="24h").keep
    '24h'
    """

    keep: str = "24h"
    metric: Metric | None = None
    bound: float | None = None
    deadline: str = "1d"
    alpha_stop: float = 0.01
    failure_margin: float = 0.01
    late_margin: float = 0.01
    approval: Approval | None = None
    holdout: float = 0.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_spans(self, "keep", "deadline", positive=True)
        if self.metric is not None:
            check_metric(self.metric)
        if self.bound is not None:
            check_between("bound", self.bound, 0.0, math.inf)
        for field in ("alpha_stop", "failure_margin", "late_margin"):
            check_between(field, getattr(self, field), 0.0, 0.5)
        check_between("holdout", self.holdout, 0.0, 0.5, closed=True)
        check_approval(self.approval)
        check_length(parse_duration(self.deadline) + 2 * parse_duration(self.keep))
