"""What a form asks for a policy: the fields that its verbs show; the verbs themselves check what is written."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from mainspring.edges.web.words import plain_words
from mainspring.release.policy import Policy, decode_policy
from mainspring.release.policy.fields import Field as PolicyField
from mainspring.release.policy.fields import default_of, fields_of
from mainspring.release.policy.fields import strategies as known_strategies

Asks: TypeAlias = Literal["text", "number", "numbers", "words", "choice", "approval", "json"]
_ASKS: dict[str, Asks] = {
    "word": "choice",
    "count": "number",
    "number": "number",
    "duration": "text",
    "approval": "approval",
    "shares": "numbers",
    "columns": "words",
    "judges": "json",
}
_LABELS = {"ab_test": "A/B test", "blue_green": "blue-green", "champion_challenger": "champion and challengers"}
_SEVERAL = frozenset({"shadow", "bandit", "champion_challenger"})
_EXAMPLES = {"judges": '[{"type": "slower_than", "limit": "50ms"}]', "columns": "none, or columns with commas"}
_OR_NOTHING = ", or nothing"


class Field(msgspec.Struct, frozen=True):
    """One field of a form. ``value`` is as it is written there; ``hint`` says what may become of it.

    ``role`` and ``not_starter`` are the parts of an approval.
    """

    name: str
    label: str
    asks: Asks
    value: str
    optional: bool = False
    choices: tuple[str, ...] = ()
    example: str = ""
    hint: str = ""
    role: str = ""
    not_starter: bool = False


class Strategy(msgspec.Struct, frozen=True):
    """One strategy with its fields; ``several``: of several versions at once. ``whole`` is the policy as JSON."""

    name: str
    label: str
    summary: str
    fields: tuple[Field, ...]
    several: bool = False
    whole: str = ""


class Declared(msgspec.Struct, frozen=True):
    """How a release is asked for: by the model's policy, or by any of the strategies."""

    label: str
    several: bool
    strategies: tuple[Strategy, ...]


def strategies(declared: str | None) -> Declared:
    """Return what a release may be started by; the fields of the model's own strategy show its policy."""
    policy = decode_policy(declared)
    mine = str(policy.__struct_config__.tag)
    others = (default_of(name) for name in known_strategies() if name != mine)
    label = f"{_LABELS.get(mine, mine)}, {'the model’s own' if declared else 'as usual'}"
    return Declared(label, mine in _SEVERAL, tuple(map(_strategy, (policy, *others))))


def change_of(policy: Policy) -> Strategy:
    """Return what of a running release's policy may be changed; all else was agreed for good."""
    return _strategy(policy, running=True)


def _strategy(policy: Policy, *, running: bool = False) -> Strategy:
    strategy, *fields = fields_of(policy, running=running)
    name = str(strategy.value)
    return Strategy(
        name=name,
        label=_LABELS.get(name, name),
        summary=str(type(policy).__doc__).partition("\n")[0],
        fields=tuple(_field(one) for one in fields if not one.fixed),
        several=name in _SEVERAL,
        whole=msgspec.json.encode(policy).decode(),
    )


def _field(one: PolicyField) -> Field:
    kind, optional, _ = one.kind.partition(_OR_NOTHING)
    asks = _ASKS[kind]
    approval = one.value if asks == "approval" and one.value else {}
    return Field(
        name=one.field,
        label=plain_words(one.field),
        asks=asks,
        value=("asked" if one.value else "") if asks == "approval" else _written(asks, one.value),
        optional=bool(optional),
        choices=one.choices,
        example="not said" if optional else _EXAMPLES.get(kind, ""),
        hint=one.rule,
        role=approval.get("role", ""),
        not_starter=approval.get("not_starter", False),
    )


def _written(asks: Asks, value: Any) -> str:
    if value is None or value in ([], ()):
        return ""
    if asks == "json":
        return msgspec.json.encode(value).decode()
    return ", ".join(map(_plain, value)) if asks in ("numbers", "words") else _plain(value)


def _plain(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
