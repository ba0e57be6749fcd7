"""Verbs of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from mainspring.edges.verbs.verb import Nothing, Verb

if TYPE_CHECKING:
    from mainspring.platform import Platform


class ListEntries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries."""

    kind: Annotated[str | None, Meta(description="a kind such as release.promoted, or its first word")] = None
    subject: Annotated[str | None, Meta(description="id of what changed")] = None
    project: Annotated[str | None, Meta(description="a project's name")] = None
    limit: Annotated[int, Meta(description="how many, newest first", ge=1, le=10_000)] = 30


class At(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A moment."""

    time: Annotated[str, Meta(description="ISO 8601 with a zone, such as 2013-05-03T12:00Z")]
    limit: Annotated[int, Meta(description="how many, newest first", ge=1, le=10_000)] = 30


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known head."""

    head: Annotated[str | None, Meta(description="a head exported earlier, which must occur in the chain")] = None


def list_entries(platform: Platform, asked: ListEntries, by: str) -> Any:
    from mainspring.ledger.queries import entries

    project = platform.registry.project(asked.project) if asked.project else None
    with platform.store.read() as connection:
        return entries(
            connection,
            kind=asked.kind,
            subject=asked.subject,
            project=project,
            newest_first=True,
            limit=asked.limit,
        )


def entries_at(platform: Platform, asked: At, by: str) -> Any:
    from mainspring.kernel.clock import parse_time, to_us
    from mainspring.ledger.queries import entries

    until_us = to_us(parse_time(asked.time))
    with platform.store.read() as connection:
        return entries(connection, until_us=until_us, newest_first=True, limit=asked.limit)


def verify(platform: Platform, asked: Head, by: str) -> Any:
    from mainspring.kernel.errors import Damaged
    from mainspring.ledger.queries import verify_chain

    with platform.store.read() as connection:
        verdict = verify_chain(connection, head=asked.head)
    if not verdict.verified:
        raise Damaged(
            f"the ledger is broken at entry {verdict.broken_at}: {verdict.reason}",
            field="ledger",
            remedy="restore a backup, or compare with an exported head",
        )
    return verdict


def head(platform: Platform, asked: Nothing, by: str) -> Any:
    from mainspring.ledger.chain import GENESIS
    from mainspring.ledger.queries import entries

    with platform.store.read() as connection:
        newest = entries(connection, newest_first=True, limit=1)
    return {"entries": newest[0].seq, "head": newest[0].hash} if newest else {"entries": 0, "head": GENESIS}


_COLUMNS = ("seq", "at_us", "actor", "kind", "subject", "reason")

VERBS = (
    Verb(
        name="ledger list",
        group="Ledger",
        summary="List what was done, by whom, why, and on which numbers",
        arguments=ListEntries,
        call=list_entries,
        columns=_COLUMNS,
    ),
    Verb(
        name="ledger at",
        group="Ledger",
        summary="List what had been done by a moment",
        arguments=At,
        call=entries_at,
        positional=("time",),
        columns=_COLUMNS,
    ),
    Verb(
        name="ledger verify",
        group="Ledger",
        summary="Check that no entry was changed, dropped or put in later",
        arguments=Head,
        call=verify,
    ),
    Verb(
        name="ledger head",
        group="Ledger",
        summary="Show the newest hash, to be kept elsewhere",
        call=head,
    ),
)
