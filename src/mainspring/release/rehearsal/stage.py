"""The stage: a deck set up for a script, with everything that no draw changes worked out once."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.engine import State
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books
from mainspring.release.gather import pace_us
from mainspring.release.rehearsal.deck import NEVER_US, Deck, Ints
from mainspring.release.rehearsal.fault import Faults
from mainspring.release.rehearsal.slices import Ahead, ahead, labels
from mainspring.release.terms import Terms
from mainspring.serving.tripwire import WINDOW_S, expected_share

STABLE, CHALLENGER = "stable", "challenger"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all plays of a rehearsal have in common.

    The release starts at ``from_us`` and is stepped every ``look_us`` until ``until_us``; gateways take a stage up
    ``takes_us`` after it was decided. ``budget_us`` is how long a challenger may take to answer. ``versions`` and
    ``numbers`` name the deck's challengers.
    """

    terms: Terms
    from_us: int
    until_us: int
    look_us: int
    takes_us: int = 0
    faults: Faults = Faults()
    budget_us: int = 1_000_000
    versions: tuple[str, ...] = (CHALLENGER,)
    numbers: tuple[int, ...] = (1,)


class Stage:
    """What plays share, whichever challenger is looked at."""

    def __init__(self, deck: Deck, script: Script) -> None:
        deck = _sampled(deck, script.terms.sample)
        self.deck, self.script = deck, script
        self.labels = labels(deck, script.terms)
        self.looks_us: Ints = np.arange(
            script.from_us + script.look_us, script.until_us + 1, script.look_us, dtype=np.int64
        )
        self.pace_us = pace_us(script.terms)
        self.by_request = script.terms.allocation is not None and script.terms.allocation.per == "request"
        self.expected_failing = _expected_failing(deck)
        start_us = script.from_us
        self.empty = Books(rows_us=start_us, pairs_us=start_us, drawn_us=start_us, drawn_labels_us=start_us)
        known = np.sort(deck.known_us[deck.known_us != NEVER_US])
        self._known, self._places = known, np.searchsorted(known, self.looks_us, side="right") - 1
        self._ahead: dict[int, Ahead] = {}

    def between(self, since_us: int, until_us: int) -> slice:
        """Return the rows decided in (since, until]."""
        start, end = np.searchsorted(self.deck.decision_us, [since_us, until_us], side="right")
        return slice(int(start), int(end))

    def newest_us(self, look: int) -> int | None:
        """Return when the newest outcome that was known at a look became so."""
        place = int(self._places[look])
        return int(self._known[place]) if place >= 0 else None

    def whole_units(self, state: State, since_us: int, until_us: int) -> Ints:
        """Return which units first met in (since, until] count: those without a change of shares in their window."""
        units, window_us = self.ahead(state.share_changes[0]), self.script.terms.window_us
        start, end = np.searchsorted(units.first_us, [since_us, until_us], side="right")
        if window_us == 0:
            return np.arange(start, end)
        first_us = units.first_us[start:end]
        whole = np.ones(len(first_us), dtype=np.bool_)
        for change_us in state.share_changes:
            whole &= ~((first_us < change_us) & (first_us + window_us >= change_us))
        return np.asarray(np.flatnonzero(whole) + start)

    def ahead(self, since_us: int) -> Ahead:
        """Return the units of a canary that begins at ``since_us``."""
        if since_us not in self._ahead:
            window_us = self.script.terms.window_us
            self._ahead[since_us] = ahead(self.deck, since_us, window_us, by_request=self.by_request)
        return self._ahead[since_us]


def _sampled(deck: Deck, sample: float) -> Deck:
    """Return the deck as a shadow sees it that scores a sample of the rows, the same one in every play."""
    if sample >= 1.0:
        return deck
    seen = np.random.default_rng(0).random(deck.rows) < sample
    first, *others = (msgspec.structs.replace(said, tried=said.tried & seen) for said in deck.challengers)
    return msgspec.structs.replace(deck, challenger=first, others=tuple(others))


def _expected_failing(deck: Deck) -> Floats:
    """Return what the tripwire takes for ordinary at each row: the stable version's failures in the minute before.

    Its answers in shadow stand for those that it would have given, so no draw changes this.
    """
    failed = np.concatenate([[0.0], np.cumsum(deck.stable.tried & ~deck.stable.ok)])
    tried = np.concatenate([[0.0], np.cumsum(deck.stable.tried)])
    end = np.arange(deck.rows)
    start = np.searchsorted(deck.decision_us, deck.decision_us - WINDOW_S * 1_000_000, side="left")
    missed = failed[end] - failed[start]
    if not missed.any():
        return np.full(deck.rows, expected_share(0, 1))
    pairs = zip(missed, tried[end] - tried[start], strict=True)
    return np.array([expected_share(int(failures), int(requests)) for failures, requests in pairs])
