"""A policy field by field, as a form shows it: value, default, what may be written, and how it may change. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from mainspring.kernel.errors import InvalidInput, nearest
from mainspring.release.policy import KINDS
from mainspring.release.policy.change import rule_of


class Field(msgspec.Struct, frozen=True):
    """One field of a policy. ``kind`` says what may be written, ``choices`` which words, where only those may.

    ``fixed`` and ``rule`` tell whether and how it may change while a release runs.
    """

    field: str
    value: Any
    default: Any
    kind: str
    choices: tuple[str, ...] = ()
    fixed: bool = False
    rule: str = ""


def fields_of(policy: Any, *, running: bool = False) -> list[Field]:
    """Return the fields of a policy, its strategy first, on which all others depend.

    >>> from mainspring.release.policy import Immediate
    >>> [one.field for one in fields_of(Immediate())]
    ['type', 'approval', 'deadline', 'holdout']
    """
    tag = str(policy.__struct_config__.tag)
    first = Field(
        "type", tag, "canary", "word", tuple(strategies()), fixed=running,
        rule="fixed: start another release" if running else "",
    )  # fmt: skip
    default = type(policy)()
    return [first, *(_field(one, policy, default, running=running) for one in inspect.type_info(type(policy)).fields)]  # type: ignore[attr-defined]


def strategies() -> dict[str, Any]:
    """Return the strategies by the name that data calls them."""
    return {str(kind.__struct_config__.tag): kind for kind in KINDS}


def default_of(strategy: str) -> Any:
    """Return a strategy's policy with nothing but its defaults."""
    known = strategies()
    if strategy not in known:
        raise InvalidInput("is not a strategy", field="strategy", value=strategy, remedy=nearest(strategy, known))
    return known[strategy]()


def _field(one: inspect.Field, policy: Any, default: Any, *, running: bool) -> Field:
    rule = rule_of(one.name)
    kind, choices = _kind(one.type)
    return Field(
        one.encode_name,
        msgspec.to_builtins(getattr(policy, one.name)),
        msgspec.to_builtins(getattr(default, one.name)),
        kind,
        choices,
        fixed=running and rule.says.startswith("fixed"),
        rule=rule.says if running else "",
    )


def _kind(type: inspect.Type) -> tuple[str, tuple[str, ...]]:
    match type:
        case inspect.UnionType():
            inner = next(one for one in type.types if not isinstance(one, inspect.NoneType))
            kind, choices = _kind(inner)
            return f"{kind}, or nothing", choices
        case inspect.LiteralType():
            return "word", tuple(str(one) for one in type.values)
        case inspect.IntType():
            return "count", ()
        case inspect.FloatType():
            return "number", ()
        case inspect.StrType():
            return "duration", ()
        case inspect.StructType():
            return "approval", ()
        case inspect.VarTupleType():
            return {inspect.FloatType: "shares", inspect.StrType: "columns"}.get(_class(type.item_type), "judges"), ()
    return "value", ()


def _class(type: inspect.Type) -> Any:
    return type.__class__
