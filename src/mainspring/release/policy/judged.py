"""What all policies share that judge a challenger's answers in shadow first."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput
from mainspring.release.evidence.losses import CLASSIFYING, Metric, loss
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.checked import (
    OnDeadline,
    check_approval,
    check_between,
    check_count,
    check_length,
    check_margin,
    check_metric,
    check_spans,
    checked_list,
    unless_agreed,
)
from mainspring.release.policy.checked import check_word as _check_word
from mainspring.release.policy.metrics import Failures, Reward, Slower


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of a judgement: which loss, by how much, at which error, and how long it may take.

    Errors of estimates without a ``bound`` are cut nowhere, and what is proven of them is asymptotic.
    """

    shadow: str = "14d"
    shadow_at_least: str = "0s"
    metric: Metric = "log_loss"
    margin: float = 0.01
    bound: float | None = None
    hold: str = "1d"
    deadline: str | None = None
    on_deadline: OnDeadline = "return"
    minimum_units: int = 500
    window: str = "7d"
    alpha_promote: float = 0.05
    alpha_stop: float = 0.01
    failure_margin: float = 0.01
    late_margin: float = 0.01
    coverage: float = 0.8
    approval: Approval | None = None
    holdout: float = 0.0

    @unless_agreed
    def __post_init__(self) -> None:
        check_judged(self)


def check_judged(policy: Any) -> None:
    """Refuse what no release could be judged by."""
    check_metric(policy.metric)
    check_spans(policy, "shadow", "shadow_at_least", "hold", "window")
    if not parse_duration(policy.shadow, field="shadow"):
        raise InvalidInput("must be longer than nothing", field="shadow", value=policy.shadow, remedy="try 14d")
    if parse_duration(policy.shadow_at_least) > parse_duration(policy.shadow):
        raise InvalidInput(
            "is longer than the longest time in shadow", field="shadow_at_least", value=policy.shadow_at_least,
            remedy=f"at most {policy.shadow}",
        )  # fmt: skip
    if policy.deadline is not None and parse_duration(policy.deadline, field="deadline") < parse_duration(
        policy.shadow
    ):
        remedy = f"leave it more than the shadow of {policy.shadow}"
        raise InvalidInput("ends before the shadow does", field="deadline", value=policy.deadline, remedy=remedy)
    check_errors(policy)
    check_between("coverage", policy.coverage, 0.0, 1.0, closed=True)
    check_between("margin", policy.margin, 0.0, math.inf)
    if policy.bound is not None:
        check_between("bound", policy.bound, 0.0, math.inf)
    if policy.metric in CLASSIFYING or policy.bound is not None:
        check_margin(policy.margin, loss(policy.metric, bound=policy.bound).bound)
    check_count("minimum_units", policy.minimum_units)


def check_holds(policy: Any) -> None:
    """Refuse holds that together end beyond what a date can tell, where no deadline is stated."""
    if policy.deadline is None:
        hold = max(parse_duration(policy.hold), parse_duration(policy.window))
        check_length(parse_duration(policy.shadow) + 3 * len(policy.steps) * hold)


def check_errors(policy: Any) -> None:
    """Refuse error budgets and margins that are none, and a wrong word for the deadline."""
    for field in ("alpha_promote", "alpha_stop", "failure_margin", "late_margin"):
        check_between(field, getattr(policy, field), 0.0, 0.5)
    check_between("holdout", policy.holdout, 0.0, 0.5, closed=True)
    check_approval(policy.approval)
    _check_word("on_deadline", policy.on_deadline, ("return", "hold"))


def check_judges(policy: Any, *taken: str) -> None:
    """Take lists of further metrics and guards; refuse two of one name, and what is none."""
    names = list(taken)
    for field in ("metrics", "guards"):
        given = checked_list(field, getattr(policy, field), Reward | Slower | Failures, "ms.metrics.…")
        msgspec.structs.force_setattr(policy, field, given)
        names += [one.name for one in given]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput("is judged twice", field="metrics", value=name)
