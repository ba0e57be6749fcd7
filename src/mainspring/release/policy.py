"""How a challenger may become champion, as a project declares it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.release.evidence.losses import Metric

METRICS: tuple[str, ...] = ("log_loss", "brier", "error", "absolute_error", "squared_error")
OnDeadline = Literal["return", "hold"]


class Immediate(msgspec.Struct, frozen=True, tag="immediate", forbid_unknown_fields=True):
    """Make a version champion at once, without evidence; the ledger says that there was none.

    >>> Immediate()
    Immediate()
    """


class Shadow(msgspec.Struct, frozen=True, tag="shadow", forbid_unknown_fields=True):
    """Let a challenger score what the champion answers, and promote it on that evidence alone.

    ``shadow`` is the longest time in shadow, ``shadow_at_least`` the least before quality is judged. ``bound`` is the
    greatest loss that one answer may count for; metrics of estimates need it. ``hold`` is the least time between two
    steps.

    >>> Shadow(shadow="14d", metric="log_loss", margin=0.01).shadow
    '14d'
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

    def __post_init__(self) -> None:
        _check_shared(self)


class Canary(msgspec.Struct, frozen=True, tag="canary", forbid_unknown_fields=True):
    """Let a challenger score in shadow first, then answer for growing shares of units, and promote it after the last.

    ``shadow`` is the longest time in shadow and ``shadow_at_least`` the least before quality is judged: a whole week
    keeps two odd days from deciding (failures stop it at any time). ``steps`` are the shares, ``hold`` the least time
    at each share and ``step_requests`` the least requests that the challenger must have answered there. ``deadline``
    bounds the whole release (default: the shadow and three times the holds); ``on_deadline`` says what happens then.
    ``window`` is the time over which a unit that comes back is counted once.

    >>> Canary(shadow="14d", steps=[0.05, 0.25, 0.5], metric="log_loss", margin=0.01).steps
    (0.05, 0.25, 0.5)
    """

    shadow: str = "14d"
    shadow_at_least: str = "0s"
    steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    metric: Metric = "log_loss"
    margin: float = 0.01
    bound: float | None = None
    hold: str = "1d"
    step_requests: int = 20
    deadline: str | None = None
    on_deadline: OnDeadline = "return"
    minimum_units: int = 500
    window: str = "7d"
    alpha_promote: float = 0.05
    alpha_stop: float = 0.01
    failure_margin: float = 0.01
    late_margin: float = 0.01
    coverage: float = 0.8

    def __post_init__(self) -> None:
        _check_shared(self)
        msgspec.structs.force_setattr(self, "steps", _checked_steps(self.steps))
        if self.step_requests < 1:
            raise InvalidInput("must be at least 1", field="step_requests", value=self.step_requests)


Policy: TypeAlias = Immediate | Shadow | Canary


def decode_policy(text: str | None) -> Policy:
    """Read a stored policy; a model that declares none is released by the default canary."""
    return Canary() if not text else msgspec.json.decode(text, type=Immediate | Shadow | Canary)


def steps_of(policy: Shadow | Canary) -> tuple[float, ...]:
    """Return the shares that a policy goes through; none for a shadow."""
    return policy.steps if isinstance(policy, Canary) else ()


def deadline_of(policy: Shadow | Canary) -> timedelta:
    """Return how long the whole release may take, before the wait for its last outcomes."""
    if policy.deadline is not None:
        return parse_duration(policy.deadline, field="deadline")
    holds = 3 * len(steps_of(policy)) * parse_duration(policy.hold, field="hold")
    return parse_duration(policy.shadow, field="shadow") + holds


def _check_shared(policy: Shadow | Canary) -> None:
    if policy.metric not in METRICS:
        raise InvalidInput(
            "is not a metric that a release can test", field="metric", value=policy.metric,
            remedy=nearest(str(policy.metric), METRICS),
        )  # fmt: skip
    for field in ("shadow", "shadow_at_least", "hold", "window"):
        if parse_duration(getattr(policy, field), field=field) < timedelta(0):
            raise InvalidInput("must not be negative", field=field, value=getattr(policy, field))
    if parse_duration(policy.shadow, field="shadow") <= timedelta(0):
        raise InvalidInput("must be longer than nothing", field="shadow", value=policy.shadow, remedy="try 14d")
    if parse_duration(policy.shadow_at_least) > parse_duration(policy.shadow):
        raise InvalidInput(
            "is longer than the longest time in shadow", field="shadow_at_least", value=policy.shadow_at_least,
            remedy=f"at most {policy.shadow}",
        )  # fmt: skip
    if policy.deadline is not None and deadline_of(policy) < parse_duration(policy.shadow, field="shadow"):
        raise InvalidInput("ends before the shadow does", field="deadline", value=policy.deadline)
    for field in ("alpha_promote", "alpha_stop", "failure_margin", "late_margin"):
        _check_between(field, getattr(policy, field), 0.0, 0.5)
    _check_between("coverage", policy.coverage, 0.0, 1.0, closed=True)
    _check_between("margin", policy.margin, 0.0, math.inf)
    if policy.bound is not None:
        _check_between("bound", policy.bound, 0.0, math.inf)
    if policy.minimum_units < 1:
        raise InvalidInput("must be at least 1", field="minimum_units", value=policy.minimum_units)
    if policy.on_deadline not in ("return", "hold"):
        raise InvalidInput("must be 'return' or 'hold'", field="on_deadline", value=policy.on_deadline)


def _check_between(field: str, value: Any, low: float, high: float, *, closed: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (low < value < high or (closed and value in (low, high))):
        below = f" and below {high:g}" if math.isfinite(high) else ""
        raise InvalidInput(f"must be a number above {low:g}{below}", field=field, value=value)


def _checked_steps(steps: Any) -> tuple[float, ...]:
    if isinstance(steps, str | bytes) or not hasattr(steps, "__iter__"):
        raise InvalidInput("must be a list of shares", field="steps", value=steps, remedy="such as [0.05, 0.25, 0.5]")
    shares = tuple(steps)
    if not shares:
        raise InvalidInput("needs at least one share", field="steps", value=[], remedy="use Shadow for none")
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
            raise InvalidInput("must be shares above 0 and below 1", field="steps", value=share)
    if list(shares) != sorted(set(shares)):
        raise InvalidInput("must grow from step to step", field="steps", value=list(shares))
    return tuple(float(share) for share in shares)
