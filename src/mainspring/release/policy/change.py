"""Which changes of a running policy leave its evidence valid: a table of rules, one a field. Pure.

What evidence was gathered under cannot be chosen after it was seen: metrics, bounds, margins, errors, estimators, past
steps. What only makes a release slower, narrower or more careful may be changed at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mainspring.kernel.duration import parse_duration
from mainspring.kernel.errors import Conflict
from mainspring.release.state import State


class Rule(msgspec.Struct, frozen=True):
    """How one field may change while a release runs: in words, and as a test that says why not, or nothing."""

    says: str
    why_not: Callable[[Any, Any, State], str]


def change(policy: Any, new: Any, state: State) -> Any:
    """Return the policy to go on by, or refuse with the reason.

    >>> from mainspring.release.policy import Canary
    >>> change(Canary(hold="1d"), Canary(hold="2d"), State()).hold
    '2d'
    >>> change(Canary(margin=0.01), Canary(margin=0.02), State())
    Traceback (most recent call last):
    mainspring.kernel.errors.Conflict: margin: what evidence is judged by was agreed before the first row (got 0.02)
    """
    if state.over:
        raise Conflict(f"the release is over: {state.status}", field="release", remedy="start another one")
    if type(new) is not type(policy):
        raise Conflict(
            "is another strategy", field="policy.type", value=str(new.__struct_config__.tag),
            remedy="abort this release and start another one",
        )  # fmt: skip
    changed = [field for field in policy.__struct_fields__ if getattr(policy, field) != getattr(new, field)]
    if not changed:
        raise Conflict("says what is agreed already", field="policy")
    for field in changed:
        why = rule_of(field).why_not(getattr(policy, field), getattr(new, field), state)
        if why:
            raise Conflict(why, field=field, value=_plain(getattr(new, field)))
    return new


def _agreed(old: Any, new: Any, state: State) -> str:
    return "what evidence is judged by was agreed before the first row"


def _drawn_for_good(old: Any, new: Any, state: State) -> str:
    return "units that changed sides would count for both"


def _longer(old: str, new: str, state: State) -> str:
    return "" if parse_duration(new) >= parse_duration(old) else f"may only become longer than {old}"


def _later(old: str | None, new: str | None, state: State) -> str:
    """A deadline that is not stated follows from shadow and holds; one that is stated may only move away."""
    if old is None or new is None:
        return "state the deadline from the start, or leave it to follow from shadow and holds"
    return _longer(old, new, state)


def _more(old: float, new: float, state: State) -> str:
    return "" if new >= old else f"may only be raised above {old:g}"


def _tighter(old: float | None, new: float | None, state: State) -> str:
    if new is None or (old is not None and new > old):
        return "may only become smaller: what was precise enough once ends the test"
    return ""


def _free(old: Any, new: Any, state: State) -> str:
    return ""


def _shadow_longer(old: str, new: str, state: State) -> str:
    return _longer(old, new, state) or ("" if state.stage == "shadow" else "its shadow is over")


def _steps(old: tuple[float, ...], new: tuple[float, ...], state: State) -> str:
    if new[: state.step] != old[: state.step]:
        return "the shares that it went through already cannot be changed"
    if len(new) < len(old):
        return "a share that was agreed cannot be left out"
    if any(later > before for before, later in zip(old, new, strict=False)) or new[-1] > old[-1]:
        return "shares to come may only become smaller"
    return ""


def _approval(old: Any, new: Any, state: State) -> str:
    if new is None:
        return "an approval that was asked for cannot be taken back"
    if old is None:
        return ""
    if new.role != old.role:
        return "whoever was to approve it stays that"
    return "" if new.not_starter or not old.not_starter else "whoever started it may still not approve it"


FIXED = Rule("fixed: evidence rests on it", _agreed)
RULES: dict[str, Rule] = {
    "shadow": Rule("may become longer, as long as it is in shadow", _shadow_longer),
    "shadow_at_least": Rule("may become longer, as long as it is in shadow", _shadow_longer),
    "hold": Rule("may become longer", _longer),
    "keep": Rule("may become longer", _longer),
    "horizon": Rule("may become longer", _longer),
    "deadline": Rule("may move away, where one was stated", _later),
    "on_deadline": Rule("may change", _free),
    "minimum_units": Rule("may be raised", _more),
    "step_requests": Rule("may be raised", _more),
    "coverage": Rule("may be raised", _more),
    "confidence": Rule("may be raised", _more),
    "precision": Rule("may become smaller", _tighter),
    "steps": Rule("shares to come may become smaller, and more may follow", _steps),
    "approval": Rule("may be asked for, and never taken back", _approval),
    "slices": Rule("may change", _free),
    "holdout": Rule("fixed: units would change sides", _drawn_for_good),
    "share": Rule("fixed: units would change sides", _drawn_for_good),
}


def rule_of(field: str) -> Rule:
    """Return how a field may change; one without a rule of its own is what evidence rests on."""
    return RULES.get(field, FIXED)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
