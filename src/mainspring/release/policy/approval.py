"""A person's sign-off, where a policy asks for one."""

from __future__ import annotations

import msgspec


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask that a person signs a release off before the challenger answers anybody.

    ``role`` is one of those that the home's settings give to people (any person, if empty). With ``not_starter``
    whoever started the release may not be the one who approves it.

    >>> Approval(role="risk", not_starter=True).role
    'risk'
    """

    role: str = ""
    not_starter: bool = False
