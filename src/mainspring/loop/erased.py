"""What an erasure did, as it is told: to whoever asked, and to the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring.kernel.clock import from_us, show_time
from mainspring.log.ports import Kept

BACKUPS = (
    "backups made before now hold the subject, and its key with it: let them run out; one that is restored with the "
    "list of who was erased (setting erased_subjects, or restore --erased) is erased again before it is used"
)
MODELS = "versions trained before now have seen the subject's rows; retrain where that matters"
FILES = "files and queries that sources read are not ours: take the subject out of them too"
FOR_EVER = "for ever"


class Elsewhere(msgspec.Struct, frozen=True):
    """A place outside of the home in which the subject may still be read, until when, and why."""

    place: str
    until: str
    why: str = ""


class Done(msgspec.Struct, frozen=True):
    """What was changed: rows by table, whether the name was met, and in what it was looked for."""

    rows: dict[str, int]
    known: bool
    looked_at: tuple[str, ...]


class Erased(msgspec.Struct, frozen=True):
    """What an erasure did. ``places`` are files in which the name still stands; ``gone`` means that it is nowhere.

    ``known`` is false where the name was met in nothing of what was ``looked_at``. ``elsewhere`` is what others keep
    for a while. ``waiting`` says that a running job still holds files of before: the loop goes on once it has ended.
    """

    said: str
    digest: str
    known: bool
    gone: bool
    rows: dict[str, int]
    places: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    waiting: bool = False
    looked_at: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def erased_of(
    digest: str, done: Done, *, places: tuple[str, ...] = (), kept: Sequence[Kept] = (), waiting: bool = False
) -> Erased:
    """Return an erasure as it is told."""
    elsewhere = tuple(
        Elsewhere(one.place, FOR_EVER if one.until_us is None else show_time(from_us(one.until_us)), one.why)
        for one in kept
    )
    told = Erased(
        said="",
        digest=digest,
        known=done.known,
        gone=not (places or elsewhere or waiting),
        rows=done.rows,
        places=places,
        elsewhere=elsewhere,
        waiting=waiting,
        looked_at=done.looked_at,
        notes=(BACKUPS, MODELS, FILES) if done.known else (),
    )
    return msgspec.structs.replace(told, said=_said(told))


def _said(told: Erased) -> str:
    if told.waiting:
        return "a running job still reads files of before: the erasure goes on once it has ended"
    unknown = "no such subject is known: nobody of that name, letter by letter, was met in what was looked at"
    if told.gone:
        return "gone from everything in this home" if told.known else unknown
    still = ", ".join([*told.places, *(_kept(one) for one in told.elsewhere)])
    return f"may still stand in {still}" if told.known else f"{unknown}; what lies in {still} was not"


def _kept(one: Elsewhere) -> str:
    if one.until == FOR_EVER:
        return f"{one.place}, for ever: shorten what the topic keeps, or delete its records"
    return f"{one.place}, until {one.until}"
