"""Who asks for a change, and how that is known: what the ledger writes under ``actor``.

``ann (user)`` is the operating system's user of a command, ``ann (page)`` the page whose token that user was given,
``ann (key_01ab)`` the holder of that key. What a caller only says of itself stands in front: ``ben, said by ann
(user)``. A name without brackets is a part of Mainspring, such as ``loop``, or code that called a service itself.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from mainspring.kernel.errors import InvalidInput

MOST_SAID = 80
_SAYABLE = re.compile(rf"[^\x00-\x1f\x7f]{{1,{MOST_SAID}}}")
_SAID = ", said by "
_KNOWN = re.compile(r"(?P<name>.+) \((?P<how>user|page|key_[A-Za-z0-9]+)\)", re.DOTALL)
How = Literal["user", "page", "key", ""]


class Actor(msgspec.Struct, frozen=True):
    """Somebody known by ``how``, or by nothing (``""``); ``key`` is the id of the key."""

    name: str
    how: How
    key: str = ""


def known(name: str, how: str, said: str = "") -> str:
    """Return what the ledger writes of somebody who is known as ``name`` and calls himself ``said``.

    >>> known("ann", "user"), known("ann", "user", "nightly build")
    ('ann (user)', 'nightly build, said by ann (user)')
    """
    there = f"{name} ({how})"
    return there if said in ("", name, there) else f"{sayable(said)}{_SAID}{there}"


def sayable(said: str, *, field: str = "by") -> str:
    """Return what a caller says of itself, if that is a name."""
    if not _SAYABLE.fullmatch(said):
        remedy = f"say who asks, in at most {MOST_SAID} characters"
        raise InvalidInput("names nobody", field=field, value=said, remedy=remedy)
    return said


def actor_of(text: str) -> Actor:
    """Return who stands behind what the ledger writes.

    >>> actor_of("ben (user), said by ann (key_7f)")
    Actor(name='ann', how='key', key='key_7f')
    >>> actor_of("loop")
    Actor(name='loop', how='', key='')
    """
    met = _KNOWN.fullmatch(text.rpartition(_SAID)[2])
    if met is None:
        return Actor(text, "")
    how = met["how"]
    return Actor(met["name"], "key", how) if how.startswith("key_") else Actor(met["name"], how)  # type: ignore[arg-type]


def same_person(one: str, other: str) -> bool:
    """Tell whether the same person stands behind both, however each is known.

    >>> same_person("ann (key_7f)", "nightly, said by ann (user)")
    True
    """
    return actor_of(one).name == actor_of(other).name
