"""Verbs that ask the log what would happen: a release rehearsed, another policy valued."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.naming import find_model, find_version
from mainspring.edges.verbs.release import PolicyGiven, policy_of
from mainspring.edges.verbs.verb import Verb, Why, Work
from mainspring.kernel.duration import DAY_US

if TYPE_CHECKING:
    from mainspring.platform import Platform

LOOK_BACK_US = 28 * DAY_US


class Rehearse(Work, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """What to rehearse."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    challenger: Annotated[
        str, Meta(description="a number, an alias such as challenger, or an id; several with commas")
    ] = "challenger"
    policy: Annotated[
        PolicyGiven, Meta(description="a policy, as a file (JSON or TOML); the model's own if not said")
    ] = None
    since: Annotated[
        str | None, Meta(description="first decision time, ISO 8601; 28 days before the end if not said")
    ] = None
    until: Annotated[str | None, Meta(description="decision times before this, ISO 8601; now if not said")] = None
    plays: Annotated[int, Meta(description="how often to play it", ge=1, le=100_000)] = 1_000
    inject: Annotated[str, Meta(description="faults, such as loss=+0.02,errors=5%,latency=+50ms")] = ""
    seed: Annotated[int, Meta(description="the same seed gives the same plays", ge=0)] = 1
    reason: Why = "asked what it would do"


def rehearse(platform: Platform, asked: Rehearse, by: str) -> Any:
    from mainspring.release.rehearsal.fault import parse_faults
    from mainspring.release.rehearsal.service import Asked

    model = find_model(platform, asked.model)
    versions = [find_version(platform, model, text.strip()).id for text in asked.challenger.split(",")]
    from_us, until_us = span(platform, model.id, asked.since, asked.until)
    faults = parse_faults([one.strip() for one in asked.inject.split(",") if one.strip()])
    order = Asked(from_us, until_us, policy_of(asked.policy), asked.plays, faults, asked.seed)
    return _whole(platform.rehearsals.rehearse(model.id, versions, order, by=by, reason=asked.reason))


def _whole(report: Any) -> dict[str, Any]:
    """Return a rehearsal with what it says in sentences."""
    from mainspring.release.rehearsal.report import told

    return {**msgspec.to_builtins(report), "told": told(report)}


class ListRehearsals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rehearsals."""

    model: Annotated[str | None, Meta(description="a model, as name or project/name; all if not said")] = None
    limit: Annotated[int, Meta(description="how many, the newest ones", ge=1, le=10_000)] = 100


class OneRehearsal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rehearsal."""

    rehearsal: Annotated[str, Meta(description="id of a rehearsal, or a model's name for its newest one")]


def list_rehearsals(platform: Platform, asked: ListRehearsals, by: str) -> Any:
    model = find_model(platform, asked.model).id if asked.model else None
    return platform.rehearsals.kept.list(model, newest=asked.limit)


def show_rehearsal(platform: Platform, asked: OneRehearsal, by: str) -> Any:
    from mainspring.kernel.errors import NotFound

    if asked.rehearsal.startswith("reh_"):
        return _whole(platform.rehearsals.kept.get(asked.rehearsal))
    model = find_model(platform, asked.rehearsal)
    for found in platform.rehearsals.kept.list(model.id, newest=1):
        return _whole(found)
    raise NotFound(
        "was never rehearsed", field="rehearsal", value=model.name, remedy=f"try: mainspring rehearse {model.name}"
    )


class ValueOf(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"since": "from", "until": "to"}
):
    """Whose value."""

    model: Annotated[str, Meta(description="a model, as name or project/name")]
    challenger: Annotated[
        str | None, Meta(description="a version that would have answered everything; with a policy, its challengers")
    ] = None
    shares: Annotated[str | None, Meta(description="shares of versions instead, such as 3=0.5,champion=0.5")] = None
    policy: Annotated[
        PolicyGiven, Meta(description="a release policy instead, as a file (JSON or TOML), such as a bandit")
    ] = None
    since: Annotated[str | None, Meta(description="first decision time, ISO 8601; 28 days before the end")] = None
    until: Annotated[str | None, Meta(description="decision times before this, ISO 8601; now if not said")] = None
    reward: Annotated[
        Literal["outcome", "log_loss", "brier", "error", "absolute_error", "squared_error"],
        Meta(description="what is averaged: the outcome itself, or a loss of the answers"),
    ] = "outcome"
    low: Annotated[float | None, Meta(description="the least a reward may be; known for yes or no")] = None
    high: Annotated[float | None, Meta(description="the most a reward, or a loss, may be")] = None
    clip: Annotated[float | None, Meta(description="the greatest weight; nothing is clipped if not said")] = None


def value(platform: Platform, asked: ValueOf, by: str) -> Any:
    from mainspring.release.offpolicy.service import Asked

    model = find_model(platform, asked.model)
    from_us, until_us = span(platform, model.id, asked.since, asked.until)
    policy = policy_of(asked.policy)
    challengers, shares = (), _shares(platform, model, asked)
    if policy is not None:
        challengers = tuple(
            find_version(platform, model, one.strip()).id for one in (asked.challenger or "").split(",")
        )
    order = Asked(
        shares, from_us, until_us, policy, challengers, asked.reward, asked.low, asked.high, asked.clip
    )  # fmt: skip
    return platform.values.value(model.id, order)


def _shares(platform: Platform, model: Any, asked: ValueOf) -> dict[str, float]:
    from mainspring.kernel.errors import InvalidInput

    if asked.policy is not None:
        if asked.shares is not None or asked.challenger is None:
            raise InvalidInput("needs its challengers, and no shares", field="policy", remedy="such as --challenger 3")
        return {}
    if (asked.challenger is None) == (asked.shares is None):
        raise InvalidInput("say either a challenger or shares", field="challenger", remedy="such as --challenger 3")
    if asked.challenger is not None:
        return {find_version(platform, model, asked.challenger).id: 1.0}
    shares: dict[str, float] = {}
    for part in (asked.shares or "").split(","):
        name, _, share = part.strip().partition("=")
        version = find_version(platform, model, name)
        if version.id in shares:
            raise InvalidInput(
                "names one version twice", field="shares", value=asked.shares, remedy="give each one share"
            )
        try:
            shares[version.id] = float(share)
        except ValueError:
            raise InvalidInput(
                "cannot be read", field="shares", value=asked.shares, remedy="write it like 3=0.5,champion=0.5"
            ) from None
    return shares


def span(platform: Platform, model: str, since: str | None, until: str | None) -> tuple[int, int]:
    """Return a span of decision times: of the last 28 days those with requests, unless said otherwise."""
    from mainspring.kernel.clock import parse_time, to_us

    until_us = to_us(parse_time(until, field="to")) if until else platform.clock.now_us()
    if since:
        return to_us(parse_time(since, field="from")), until_us
    return max(until_us - LOOK_BACK_US, platform.log.first_decision_us(model) or 0), until_us


_ONE = (
    "id", "at_us", "model", "challengers", "champion", "policy", "sentence", "told", "injected",
    "rows", "left_out_rows", "learnt_rows", "unfitted_rows", "plays", "seed", "from_us", "until_us",
    "assumed", "policy_digest",
)  # fmt: skip

VERBS = (
    Verb(
        name="rehearse",
        group="Release",
        summary="Play a release on logged traffic, and tell how often it would promote, roll back, or not decide",
        arguments=Rehearse,
        call=rehearse,
        permission="operate",
        positional=("model",),
        columns=_ONE,
        long_running=True,
    ),
    Verb(
        name="rehearsal list",
        group="Release",
        summary="List rehearsals with what came of them, the newest first",
        arguments=ListRehearsals,
        call=list_rehearsals,
        positional=("model",),
        columns=(
            "id",
            "at_us",
            "model",
            "challengers",
            "policy",
            "injected",
            "promotion.share",
            "rollback.share",
            "inconclusive.share",
            "plays",
            "by",
        ),
    ),
    Verb(
        name="rehearsal show",
        group="Release",
        summary="Show a rehearsal with its chances, times, and callers exposed",
        arguments=OneRehearsal,
        call=show_rehearsal,
        positional=("rehearsal",),
        columns=_ONE,
    ),
    Verb(
        name="value",
        group="Release",
        summary="Tell what another policy would have been worth, from the draws of releases",
        arguments=ValueOf,
        call=value,
        positional=("model",),
        columns=(
            "sentence",
            "policy",
            "shares",
            "reward",
            "value",
            "logged",
            "units",
            "labelled_share",
            "left_out_units",
        ),
        long_running=True,
    ),
)
