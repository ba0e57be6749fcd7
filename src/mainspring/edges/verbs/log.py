"""Verbs of the prediction log: what it holds, and how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from mainspring.edges.verbs.verb import Change, Nothing, Verb, Work

if TYPE_CHECKING:
    from mainspring.platform import Platform


class Retaining(Work, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether to do it."""

    dry_run: Annotated[bool, Meta(description="only say what would be let go")] = False


class Erase(Change, frozen=True, forbid_unknown_fields=True):
    """Whom to erase."""

    subject: Annotated[str, Meta(description="the subject's name, as requests and rows carry it")]


def erase(platform: Platform, asked: Erase, by: str) -> Any:
    return platform.loop.erase(asked.subject, by=by, reason=asked.reason)


def log_counts(platform: Platform, asked: Nothing, by: str) -> Any:
    now_us = platform.clock.now_us()
    told = []
    for row in platform.registry.models():
        horizon_us = row.spec.outcome.matures_after_us if row.spec is not None else None
        late = platform.log.too_late(row.id, 0, 0, now_us, horizon_us) if horizon_us is not None else 0
        told.append({"model": f"{row.project_name}/{row.name}", **platform.log.counts(row.id), "too_late": late})
    return told


def log_retain(platform: Platform, asked: Retaining, by: str) -> Any:
    return platform.loop.retain(dry_run=asked.dry_run, by=by, reason=asked.reason)


def log_publish(platform: Platform, asked: Nothing, by: str) -> Any:
    return platform.loop.publish_log()


VERBS = (
    Verb(
        name="log publish",
        group="Data",
        summary="Bring the Delta tables that other engines read up to the log; the loop does so by itself",
        call=log_publish,
        permission="operate",
        long_running=True,
    ),
    Verb(
        name="erase",
        group="Data",
        summary="Erase one subject from everything in the home, and look whether it is gone",
        arguments=Erase,
        call=erase,
        permission="owner",
        long_running=True,
    ),
    Verb(
        name="log counts",
        group="Data",
        summary="Count what the prediction log holds of each model, by role and by acknowledgement",
        call=log_counts,
        columns=("model", "predictions", "outcomes", "too_late", "parked", "given_up"),
    ),
    Verb(
        name="log retain",
        group="Data",
        summary="Let go predictions that are kept no longer; the loop does so every day",
        arguments=Retaining,
        call=log_retain,
        permission="operate",
        long_running=True,
    ),
)
