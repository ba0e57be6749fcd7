"""By which policy a release ran since when: each is kept under its digest, which every decision names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from mainspring.kernel.errors import Damaged
from mainspring.kernel.ids import canonical_json, digest
from mainspring.release.policy import Policy, decode_policy
from mainspring.release.tables import policies, release_policies


class Agreed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy that a release ran by from a moment on, and who asked for it, why."""

    since_us: int
    digest: str
    policy: Policy
    by: str = ""
    reason: str = ""


def keep(connection: Connection, release_id: str, policy: Policy, since_us: int, by: str, reason: str) -> None:
    """Store that a release goes by a policy from now on."""
    body = canonical_json(policy)
    name = digest(body)
    if connection.scalar(select(policies.c.digest).where(policies.c.digest == name)) is None:
        connection.execute(insert(policies).values(digest=name, body=body.decode()))
    connection.execute(
        insert(release_policies).values(release=release_id, since_us=since_us, digest=name, actor=by, reason=reason)
    )


def agreed(connection: Connection, release_id: str) -> tuple[Agreed, ...]:
    """Return the policies that a release ran by, oldest first; a body that its digest does not name is refused."""
    columns = release_policies.c
    query = (
        select(columns.since_us, columns.digest, columns.actor, columns.reason, policies.c.body)
        .join(policies, policies.c.digest == columns.digest)
        .where(columns.release == release_id)
        .order_by(columns.id)
    )
    return tuple(
        Agreed(row.since_us, row.digest, _policy(row.digest, row.body), row.actor, row.reason)
        for row in connection.execute(query)
    )


def differences(ran: tuple[Agreed, ...]) -> Iterator[tuple[Agreed, list[str]]]:
    """Yield each policy after the first with what it changed, field by field.

    >>> from mainspring.release.policy import Canary
    >>> ran = (Agreed(0, "a", Canary(hold="1d")), Agreed(9, "b", Canary(hold="2d"), "bob", "the fair"))
    >>> [(one.by, changed) for one, changed in differences(ran)]
    [('bob', ['hold 2d instead of 1d'])]
    """
    for before, after in pairwise(ran):
        fields = after.policy.__struct_fields__
        pairs = ((name, getattr(before.policy, name, None), getattr(after.policy, name)) for name in fields)
        yield after, [f"{name} {_said(new)} instead of {_said(old)}" for name, old, new in pairs if old != new]


def _policy(name: str, body: str) -> Policy:
    if digest(body.encode()) != name:
        raise Damaged("is not what its digest names", field="policy", value=name, remedy="restore a backup")
    return decode_policy(body)


def _said(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    if plain is None or plain == []:
        return "nothing"
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
