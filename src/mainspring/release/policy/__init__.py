"""How a challenger may become champion, as a project declares it: one type a strategy, all of them plain data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.kernel.ids import digest_of
from mainspring.release.policy.ab_test import ABTest
from mainspring.release.policy.approval import Approval
from mainspring.release.policy.bandit import Bandit
from mainspring.release.policy.blue_green import BlueGreen
from mainspring.release.policy.canary import Canary
from mainspring.release.policy.champion_challenger import ChampionChallenger
from mainspring.release.policy.checked import METRICS, as_agreed
from mainspring.release.policy.immediate import Immediate
from mainspring.release.policy.outline import outline
from mainspring.release.policy.shadow import Shadow

__all__ = [
    "METRICS", "ABTest", "Approval", "Bandit", "BlueGreen", "Canary", "ChampionChallenger", "Immediate", "Policy",
    "Shadow", "check_policy", "deadline_of", "decode_policy", "policy_digest", "read_policy", "steps_of",
]  # fmt: skip

Policy: TypeAlias = Immediate | BlueGreen | Shadow | Canary | ABTest | Bandit | ChampionChallenger
KINDS = (Immediate, BlueGreen, Shadow, Canary, ABTest, Bandit, ChampionChallenger)


def decode_policy(text: str | None) -> Policy:
    """Read a stored policy as it was agreed; a model that declares none is released by the default canary."""
    if not text:
        return Canary()
    with as_agreed():
        stored: Policy = msgspec.json.decode(text, type=Policy)
    return stored


def check_policy(policy: Policy) -> None:
    """Refuse a policy that was agreed once and that nobody could agree on by the rules of today."""
    try:
        read_policy(msgspec.to_builtins(policy))
    except InvalidInput as error:
        remedy = f"{error.remedy}; " if error.remedy else ""
        raise InvalidInput(
            error.what, field=error.field, value=error.value, remedy=f"{remedy}see: mainspring policy set"
        ) from None


def read_policy(values: Any) -> Policy:
    """Read a policy that somebody wrote as data; its ``type`` names the strategy.

    >>> read_policy({"type": "canary", "steps": [0.1, 0.5]}).steps
    (0.1, 0.5)
    """
    from mainspring.kernel.misfit import misfit

    known: dict[str, Any] = {str(kind.__struct_config__.tag): kind for kind in KINDS}
    if not isinstance(values, dict):
        raise InvalidInput("must be a table of values", field="policy", remedy='such as {"type": "canary"}')
    kind = known.get(str(values.get("type")))
    if kind is None:
        raise InvalidInput(
            "is not a strategy", field="policy.type", value=values.get("type"),
            remedy=nearest(str(values.get("type", "")), known),
        )  # fmt: skip
    for key in values.keys() - {"type", *kind.__struct_fields__}:
        remedy = nearest(str(key), kind.__struct_fields__)
        raise InvalidInput("is not a field of this strategy", field=f"policy.{key}", remedy=remedy)
    try:
        read: Policy = msgspec.convert(values, kind)
        return read
    except UnicodeEncodeError:
        raise InvalidInput("holds a character that is none", field="policy", remedy="write it as UTF-8") from None
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidInput):
            raise error.__cause__ from None
        raise misfit(error, values, kind) from None


def policy_digest(policy: Policy) -> str:
    """Return the digest under which every decision names its policy."""
    return digest_of(policy)


def steps_of(policy: Policy) -> tuple[float, ...]:
    """Return the shares that a policy goes through; none for a shadow."""
    return outline(policy).steps


def deadline_of(policy: Policy) -> timedelta:
    """Return how long the whole release may take, before the wait for its last outcomes."""
    return timedelta(microseconds=outline(policy).limit_us(0))
