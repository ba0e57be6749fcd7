"""Reads what the pages of the ledger show: entries, one entry with its hash, what answered at a moment, the proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mainspring.edges.verbs.ledger import At, Known, served_at, verify
from mainspring.edges.verbs.ledger import head as newest_head
from mainspring.edges.verbs.verb import Nothing
from mainspring.edges.web import views
from mainspring.kernel.clock import from_us, show_time
from mainspring.kernel.errors import Damaged, NotFound
from mainspring.ledger.queries import entries
from mainspring.ledger.words import about

if TYPE_CHECKING:
    from mainspring.ledger.chain import Entry
    from mainspring.platform import Platform
    from mainspring.registry.service import ModelRow

_LINES = 100
_PAGES = {"rel": "/releases/", "reh": "/rehearsals/", "alm": "/alarms/", "ver": "/versions/"}


def read_ledger(
    platform: Platform, *, kind: str | None = None, subject: str | None = None, before: int | None = None
) -> views.Ledger:
    """Return entries of the ledger, the newest first, and from where older ones are shown."""
    with platform.store.read() as connection:
        found = entries(connection, kind=kind, subject=subject, before=before, newest_first=True, limit=_LINES + 1)
    older = found[_LINES - 1].seq if len(found) > _LINES else None
    narrowed = kind is not None or subject is not None
    return views.Ledger(
        lines_of(platform, found[:_LINES]), kind or "", subject or "", None if narrowed else older, older is not None
    )


def read_entry(platform: Platform, seq: int) -> views.WholeEntry:
    """Return one entry with what it hangs on."""
    with platform.store.read() as connection:
        found = entries(connection, before=seq + 1, newest_first=True, limit=1)
    if not found or found[0].seq != seq:
        raise NotFound("there is no such entry", field="entry", value=seq, remedy="see: mainspring ledger list")
    one = found[0]
    return views.WholeEntry(lines_of(platform, [one])[0], one.hash, one.previous, show_time(from_us(one.at_us)))


def lines_of(platform: Platform, found: Sequence[Entry]) -> tuple[views.Entry, ...]:
    """Return entries as lines, with models by their names."""
    models = {row.id: row for row in platform.registry.models()}
    return tuple(_line(one, models) for one in found)


def _line(entry: Entry, models: dict[str, ModelRow]) -> views.Entry:
    what = about(entry)
    if what in models:
        what = models[what].name
    page = page_of(entry.subject)
    if entry.subject in models:
        row = models[entry.subject]
        page = f"/models/{quote(row.project_name, safe='')}/{quote(row.name, safe='')}"
    return views.Entry(
        entry.seq, entry.at_us, entry.actor, entry.kind, entry.subject, entry.reason, entry.numbers,
        about=what, page=page,
    )  # fmt: skip


def page_of(subject: str) -> str:
    """Return the page of what an entry is about, if there is one.

    >>> page_of("rel_7"), page_of("prj_1")
    ('/releases/rel_7', '')
    """
    start = _PAGES.get(subject.partition("_")[0])
    return start + subject if start else ""


def read_served(platform: Platform, time: str) -> tuple[str, list[Any]]:
    """Return a moment, and what answered then: a line a model."""
    return time, served_at(platform, At(time=time), "")


def read_proof(platform: Platform) -> views.Proof:
    """Verify the chain, and return what came of it."""
    head = newest_head(platform, Nothing(), "")
    try:
        verify(platform, Known(), "")
    except Damaged as error:
        return views.Proof(False, error.sentence(), head["entries"], head["head"])
    return views.Proof(True, "No entry was altered, dropped or added.", head["entries"], head["head"])
