"""Verbs of API keys: who may ask over a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from mainspring.edges.verbs.verb import Change, Nothing, Verb
from mainspring.kernel.duration import parse_duration

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Create(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose key, and what for."""

    name: Annotated[str, Meta(description="who holds it; named in the prediction log as the caller")]
    role: Annotated[
        str, Meta(description="predict, outcome, read, operate, approve, or approve:ROLE; several with commas")
    ]
    expires: Annotated[str, Meta(description="for how long, such as 90d; or: never")] = "90d"


class Revoke(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which key."""

    name: Annotated[str, Meta(description="the name or id of a key")]


def create(platform: Platform, asked: Create, by: str) -> Any:
    lasts = None if asked.expires == "never" else parse_duration(asked.expires, field="expires")
    roles = [role.strip() for role in asked.role.split(",") if role.strip()]
    made = platform.keys.create(asked.name, roles, lasts=lasts, by=by, reason=asked.reason)
    platform.publisher.publish()
    return made


def list_keys(platform: Platform, asked: Nothing, by: str) -> Any:
    return platform.keys.list()


def revoke(platform: Platform, asked: Revoke, by: str) -> Any:
    ended = platform.keys.revoke(asked.name, by=by, reason=asked.reason)
    platform.publisher.publish()
    return ended


VERBS = (
    Verb(
        name="key create",
        group="Keys",
        summary="Make an API key; it is shown this once",
        arguments=Create,
        call=create,
        permission="owner",
    ),
    Verb(
        name="key list",
        group="Keys",
        summary="List API keys: names, roles and ends, never the keys",
        call=list_keys,
        columns=("name", "roles", "created_us", "expires_us", "revoked_us", "id"),
    ),
    Verb(
        name="key revoke",
        group="Keys",
        summary="End an API key; gateways know within a second",
        arguments=Revoke,
        call=revoke,
        permission="owner",
        positional=("name",),
    ),
)
