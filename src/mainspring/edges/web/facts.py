"""Reads what whoever is on call looks for first: what answers now, how far it is, what it waits for, until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainspring.edges.web.measured import looks_of, waiting_of
from mainspring.edges.web.views import Fact
from mainspring.edges.web.words import ago, how_many, moment, number, plain_words, share
from mainspring.kernel.duration import DAY_US
from mainspring.release.terms import QUALITY

if TYPE_CHECKING:
    from mainspring.release.release import Release

_SLOW_US = 6 * 3_600_000_000  # nobody has looked for longer than a release that waits is looked at


def read_facts(release: Release, now_us: int) -> tuple[Fact, ...]:
    """Return the facts of a release, the most pressing first."""
    if release.over:
        return (_ended(release), _lasted(release), _asked(release))
    return (_answering(release), _matured(release), _looked(release, now_us), _until(release, now_us), _asked(release))


def _answering(release: Release) -> Fact:
    held = " (held)" if release.status == "held" else ""
    if release.stage == "shadow":
        return Fact("Answering", f"v{release.champion_number} answers all{held}", "challengers are in shadow")
    numbers = {one.version: one.number for one in release.contenders}
    drawn = ", ".join(
        f"v{numbers.get(version, release.challenger_number)} {share(own)}" for version, own in release.shares if own
    )
    rest = f"v{release.champion_number} {share(max(1.0 - release.share, 0.0))}"
    return Fact("Answering", f"{drawn}{held}", f"and {rest}")


def _matured(release: Release) -> Fact:
    terms, looks = release.terms, looks_of(release)
    if not terms.judged:
        return Fact("Evidence", "none is asked for", "by its policy")
    one = next((one for one in (looks[-1].measured if looks else ()) if one.name == QUALITY), None)
    immature = release.decision.immature if release.decision is not None else 0
    matured, waiting = (one.n, waiting_of(one, looks[-1])) if one is not None else (0, immature)
    of = " of the leading one" if len(release.challengers) > 1 else ""
    return Fact(
        "Matured", number(matured), f"{number(waiting)} waiting{of}; {number(terms.minimum_units)} are the least"
    )


def _looked(release: Release, now_us: int) -> Fact:
    at_us = release.decision.at_us if release.decision is not None else None
    if at_us is None:
        return Fact("Last looked at", "not yet", "the loop does it at its next turn")
    since = ago(at_us, now_us)
    late = now_us - at_us > 2 * _SLOW_US
    return Fact("Last looked at", f"{since} ago", moment(at_us), alert=late)


def _until(release: Release, now_us: int) -> Fact:
    left = release.deadline_us - now_us
    words = f"in {ago(now_us, release.deadline_us)}" if left > 0 else "is over"
    return Fact("Deadline", words, f"{moment(release.deadline_us)}, then {_AT_DEADLINE[release.terms.on_deadline]}")


_AT_DEADLINE = {"return": "the champion stays", "hold": "a person decides"}
_ENDED = {
    "promoted": "v{0} became champion",
    "rolled_back": "v{1} answers all again",
    "returned": "v{1} stayed champion",
    "aborted": "ended by hand: v{1} stayed",
}


def _ended(release: Release) -> Fact:
    words = _ENDED.get(release.status, "").format(release.challenger_number, release.champion_number)
    return Fact("Ended", words, f"{moment(release.ended_us)}: {plain_words(release.reason)}")


def _lasted(release: Release) -> Fact:
    took_us = (release.ended_us or release.started_us) - release.started_us
    days = f"{number(round(took_us / DAY_US, 1))} days" if took_us >= DAY_US else ago(0, took_us)
    units = release.decision.units if release.decision is not None else 0
    return Fact("Took", days, f"on {how_many(units, 'unit')}" if units else "on no evidence")


def _asked(release: Release) -> Fact:
    return Fact("Asked for", f"by {release.by or 'somebody'}", release.asked)
