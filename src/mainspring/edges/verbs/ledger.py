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


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known head."""

    head: Annotated[str | None, Meta(description="a head that was kept elsewhere; it must occur in the chain")] = None


def list_entries(platform: Platform, asked: ListEntries, by: str) -> Any:
    from mainspring.ledger.queries import entries
    from mainspring.ledger.words import about

    project = platform.registry.project(asked.project) if asked.project else None
    with platform.store.read() as connection:
        found = entries(
            connection,
            kind=asked.kind,
            subject=asked.subject,
            project=project,
            newest_first=True,
            limit=asked.limit,
        )
    return [{**msgspec.structs.asdict(entry), "about": about(entry)} for entry in found]


def served_at(platform: Platform, asked: At, by: str) -> Any:
    from mainspring.kernel.clock import parse_time, show_time, to_us
    from mainspring.kernel.errors import InvalidInput
    from mainspring.release.served import served_at as find

    at_us = to_us(parse_time(asked.time))
    now = platform.clock.now()
    if at_us > to_us(now):
        raise InvalidInput("lies ahead", field="time", value=asked.time, remedy=f"it is {show_time(now)}")
    with platform.store.read() as connection:
        return find(connection, at_us)


def verify(platform: Platform, asked: Known, by: str) -> Any:
    from mainspring.kernel.errors import Damaged
    from mainspring.ledger.chain import parse_head
    from mainspring.ledger.queries import verify_chain

    heads = [*platform.heads.read(), *([parse_head(asked.head)] if asked.head else [])]
    with platform.store.read() as connection:
        verdict = verify_chain(connection, platform.home.ledger_key(), heads=heads)
    if not verdict.verified:
        raise Damaged(
            f"entry {verdict.broken_at} was {verdict.fault}: {verdict.reason}",
            field="ledger",
            remedy="restore a backup, and compare with a head that was kept elsewhere",
        )
    return {**msgspec.to_builtins(verdict), "heads": len(heads), "tail": _SHOWN if heads else _UNSEEN}


_SHOWN = "no entry is missing up to the newest head that is known"
_UNSEEN = "whether entries are missing from the end shows only beside a head that was kept: --head, or ledger_heads"


def head(platform: Platform, asked: Nothing, by: str) -> Any:
    from mainspring.ledger.queries import newest_head

    with platform.store.read() as connection:
        newest = newest_head(connection)
    return {"entries": newest.seq, "head": str(newest)}


_COLUMNS = ("seq", "at_us", "actor", "kind", "about", "reason")

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
        summary="Say what answered at a moment, since when, and why",
        arguments=At,
        call=served_at,
        positional=("time",),
        columns=("project", "model", "champion", "since_us", "by", "reason", "ledger", "beside"),
    ),
    Verb(
        name="ledger verify",
        group="Ledger",
        summary="Check that no entry was altered, dropped or added",
        arguments=Known,
        call=verify,
        columns=("entries", "verified", "head", "tail"),
    ),
    Verb(
        name="ledger head",
        group="Ledger",
        summary="Show the newest entry's number and hash, to be kept elsewhere",
        call=head,
    ),
)
