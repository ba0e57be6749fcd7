"""Verbs of policies: how a model's releases go, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model
from mainspring.edges.verbs.release import needed_policy
from mainspring.edges.verbs.verb import Change, Verb

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Show(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose policy."""

    target: Annotated[str, Meta(description="a model, as name or project/name, or the id of a release")]
    strategy: Annotated[
        str | None, Meta(description="the fields of another strategy, with its defaults, such as bandit")
    ] = None


class Set(Change, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model, and the policy of its releases to come."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    policy: Annotated[bytes | dict[str, Any], Meta(description="a file with the whole policy, as JSON or TOML")]


def show(platform: Platform, asked: Show, by: str) -> Any:
    from mainspring.release.policy import decode_policy
    from mainspring.release.policy.fields import default_of, fields_of

    if asked.target.startswith("rel_"):
        release = platform.releases.get(asked.target)
        policy, running = release.policy, not release.over
    else:
        policy, running = decode_policy(find_model(platform, asked.target).release), False
    if asked.strategy is not None and asked.strategy != policy.__struct_config__.tag:
        policy = default_of(asked.strategy)
    return fields_of(policy, running=running)


def set_policy(platform: Platform, asked: Set, by: str) -> Any:
    model = find_model(platform, asked.model)
    platform.releases.set_policy(model.id, needed_policy(asked.policy), by=by, reason=asked.reason)
    return show(platform, Show(model.id), by)


_FIELDS = ("field", "value", "default", "kind", "choices", "rule")

VERBS = (
    Verb(
        name="policy show",
        group="Release",
        summary="Show a policy field by field: what may be written, and how a running one may change",
        arguments=Show,
        call=show,
        positional=("target",),
        columns=_FIELDS,
    ),
    Verb(
        name="policy set",
        group="Release",
        summary="Start a model's releases to come by this policy; a running one is changed by release change",
        arguments=Set,
        call=set_policy,
        permission="operate",
        positional=("model", "policy"),
        columns=_FIELDS,
    ),
)
