"""What every policy checks of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import wraps
from typing import Any, Literal, TypeVar

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.release.policy.approval import Approval

METRICS: tuple[str, ...] = ("log_loss", "brier", "error", "absolute_error", "squared_error")
Checked = TypeVar("Checked")
OnDeadline = Literal["return", "hold"]
LEAST, MOST = 1e-9, 1e100  # what squares and logarithms of can still be told apart
MOST_COUNTED = 10**12
MOST_LISTED = 100
LONGEST = timedelta(days=36_500)

_agreed: ContextVar[bool] = ContextVar("agreed", default=False)


@contextmanager
def as_agreed() -> Iterator[None]:
    """Read what was agreed once: it holds, though nobody could agree on it by the rules of today."""
    token = _agreed.set(True)
    try:
        yield
    finally:
        _agreed.reset(token)


def unless_agreed(check: Callable[[Checked], None]) -> Callable[[Checked], None]:
    """Check what is written now, and not what was agreed once and is only read."""

    @wraps(check)
    def checked(policy: Checked) -> None:
        if not _agreed.get():
            check(policy)

    return checked


def check_metric(metric: Any) -> None:
    """Refuse a metric that no test knows."""
    if metric not in METRICS:
        raise InvalidInput(
            "is not a metric that a release can test", field="metric", value=metric,
            remedy=nearest(str(metric), METRICS),
        )  # fmt: skip


def check_spans(policy: Any, *fields: str, positive: bool = False) -> None:
    """Refuse durations that are none, that are negative, or empty where they must not be."""
    for field in fields:
        span = parse_duration(getattr(policy, field), field=field)
        if span < timedelta(0):
            raise InvalidInput("must not be negative", field=field, value=getattr(policy, field))
        if positive and not span:
            raise InvalidInput("must be longer than nothing", field=field, value=getattr(policy, field))


def check_between(field: str, value: Any, low: float, high: float, *, closed: bool = False) -> None:
    """Refuse what is not a finite number between ``low`` and ``high``, or too near to a bound to be told from it."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST
    if not number or not (low < value < high or (closed and value in (low, high))):
        above = f" {low:g} or more" if closed else f" above {low:g}" if math.isfinite(low) else ""
        below = f" and below {high:g}" if math.isfinite(high) else f", of at most {MOST:g} either way"
        raise InvalidInput(f"must be a number{above}{below}", field=field, value=value)
    if low == 0.0 and (0.0 < value < LEAST or high == 1.0 > value > 1.0 - LEAST):
        raise InvalidInput(f"is nearer than {LEAST:g} to a bound that it must not reach", field=field, value=value)


def check_count(field: str, value: Any) -> None:
    """Refuse what is not at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput("must be a whole number, at least 1", field=field, value=value)
    if value > MOST_COUNTED:
        raise InvalidInput(f"must be at most {MOST_COUNTED:.0e}: no release counts further", field=field, value=value)


def check_margin(margin: float, bound: float | None) -> None:
    """Refuse a margin that nothing can exceed: every challenger would be good enough without evidence."""
    if bound is not None and margin >= bound:
        raise InvalidInput(
            f"is beyond what two versions can differ by, which is {bound:g}: anything would pass", field="margin",
            value=margin, remedy=f"state a margin below {bound:g}",
        )  # fmt: skip


def check_length(spans: timedelta) -> None:
    """Refuse a release whose spans together end beyond what a date can tell."""
    if spans > LONGEST:
        raise InvalidInput(
            f"would take {spans.days} days at most, all steps together", field="deadline",
            remedy=f"shorten its spans, or state a deadline of at most {LONGEST.days}d",
        )  # fmt: skip


def check_approval(approval: Any) -> None:
    """Refuse an approval that is none, and a role that cannot be written."""
    if approval is None:
        return
    if not isinstance(approval, Approval):
        remedy = "such as ms.Approval(role='risk')"
        raise InvalidInput("must be an approval or nothing", field="approval", value=approval, remedy=remedy)
    check_name("approval.role", approval.role)
    if not isinstance(approval.not_starter, bool):
        raise InvalidInput("must be true or false", field="approval.not_starter", value=approval.not_starter)


def check_name(field: str, name: Any) -> None:
    """Refuse a name that is no text of one line."""
    if not isinstance(name, str) or not (name.isprintable() and len(name) <= 200):
        remedy = "write at most 200 characters, none of them a control character"
        raise InvalidInput("must be text of one line", field=field, value=name, remedy=remedy)


def checked_list(field: str, given: Any, kinds: Any, words: str) -> tuple[Any, ...]:
    """Return a list of the ``kinds`` that ``words`` tell of."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, kinds) for one in given):
        raise InvalidInput(f"must be a list of {words}", field=field, value=given)
    if len(given) > MOST_LISTED:
        remedy = f"name at most {MOST_LISTED}"
        raise InvalidInput("are too many", field=field, value=len(given), remedy=remedy)
    return tuple(given)


def check_word(field: str, value: Any, known: tuple[str, ...]) -> None:
    """Refuse a word that is not one of those known."""
    if value not in known:
        shown = " or ".join(map(repr, known))
        raise InvalidInput(f"must be {shown}", field=field, value=value)


def checked_width(low: Any, high: Any) -> float | None:
    """Return how far apart the bounds of a reward are, None where it has none; refuse one alone, and empty ones."""
    if low is None and high is None:
        return None
    if low is None or high is None:
        field = "low" if low is None else "high"
        raise InvalidInput("is missing: state both bounds, or none", field=field, remedy="None for both is no bounds")
    check_between("low", low, -math.inf, math.inf)
    check_between("high", high, low, math.inf)
    if high - low < LEAST * max(1.0, abs(low), abs(high)):
        remedy = "state the least and the greatest reward"
        raise InvalidInput(f"leaves hardly anything above low={low:g}", field="high", value=high, remedy=remedy)
    width: float = high - low
    return width


def checked_steps(steps: Any) -> tuple[float, ...]:
    """Return shares that grow from step to step."""
    if not isinstance(steps, list | tuple):
        raise InvalidInput("must be a list of shares", field="steps", value=steps, remedy="such as [0.05, 0.25, 0.5]")
    shares = tuple(steps)
    if not shares:
        raise InvalidInput("needs at least one share", field="steps", value=[], remedy="use Shadow for none")
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not LEAST <= share <= 1.0 - LEAST:
            raise InvalidInput("must be shares above 0 and below 1", field="steps", value=share)
    if len(shares) > MOST_LISTED:
        remedy = f"go up in at most {MOST_LISTED} steps"
        raise InvalidInput("are too many", field="steps", value=len(shares), remedy=remedy)
    if list(shares) != sorted(set(shares)):
        raise InvalidInput("must grow from step to step", field="steps", value=list(shares))
    return tuple(float(share) for share in shares)
