"""The stage: a deck set up for a script, with everything that no draw changes worked out once."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.engine import State
from mainspring.release.evidence.counting import count_pairs
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books
from mainspring.release.gather import INGEST_LAG_US, pace_us
from mainspring.release.rehearsal.deck import NEVER_US, Bools, Deck, Ints
from mainspring.release.rehearsal.fault import Faults
from mainspring.release.rehearsal.slices import Ahead, Means, ahead, labels, means, pairs_of
from mainspring.release.terms import ANCHOR, QUALITY, Terms
from mainspring.serving.tripwire import WINDOW_S, expected_share

STABLE, CHALLENGER = "stable", "challenger"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all plays of a rehearsal have in common.

    The release starts at ``from_us`` and is stepped every ``look_us`` until ``until_us``; gateways take a stage up
    ``takes_us`` after it was decided. ``budget_us`` is how long the challenger may take to answer.
    """

    terms: Terms
    from_us: int
    until_us: int
    look_us: int
    takes_us: int = 0
    faults: Faults = Faults()
    budget_us: int = 1_000_000


class Stage:
    """What plays share. ``ok`` and ``late`` (rows,) are the challenger's, with injected latency."""

    def __init__(self, deck: Deck, script: Script) -> None:
        deck = _sampled(deck, script.terms.sample)
        self.deck, self.script = deck, script
        self.labels = labels(deck, script.terms)
        self.looks_us: Ints = np.arange(
            script.from_us + script.look_us, script.until_us + 1, script.look_us, dtype=np.int64
        )
        self.pace_us = pace_us(script.terms)
        self.took_us = _took_us(deck, script)
        self.ok, self.late = _slowed(deck, script, self.took_us)
        self.failing = not bool(self.ok.all())
        self.expected_failing = _expected_failing(deck)
        start_us = script.from_us
        self.empty = Books(rows_us=start_us, pairs_us=start_us, drawn_us=start_us, drawn_labels_us=start_us)
        known = np.sort(deck.known_us[deck.known_us != NEVER_US])
        self._known, self._places = known, np.searchsorted(known, self.looks_us, side="right") - 1
        self._pairs: list[Books] = []
        self._ahead: dict[int, Ahead] = {}
        self._means: dict[int, Means] = {}

    def between(self, since_us: int, until_us: int) -> slice:
        """Return the rows decided in (since, until]."""
        start, end = np.searchsorted(self.deck.decision_us, [since_us, until_us], side="right")
        return slice(int(start), int(end))

    def newest_us(self, look: int) -> int | None:
        """Return when the newest outcome that was known at a look became so."""
        place = int(self._places[look])
        return int(self._known[place]) if place >= 0 else None

    def shares(self, state: State, at_us: Ints) -> Floats:
        """Return the share that was drawn at each moment."""
        changes = np.array(state.share_changes, dtype=np.int64)
        steps = np.array([0.0, *self.script.terms.steps[: len(changes)]])
        return np.asarray(steps[np.searchsorted(changes, at_us, side="left")])

    def whole_units(self, state: State, since_us: int, until_us: int) -> Ints:
        """Return which units first met in (since, until] count: those without a change of shares in their window."""
        units, window_us = self.ahead(state.share_changes[0]), self.script.terms.window_us
        start, end = np.searchsorted(units.first_us, [since_us, until_us], side="right")
        first_us = units.first_us[start:end]
        whole = np.ones(len(first_us), dtype=np.bool_)
        for change_us in state.share_changes:
            whole &= ~((first_us < change_us) & (first_us + window_us >= change_us))
        return np.asarray(np.flatnonzero(whole) + start)

    def ahead(self, since_us: int) -> Ahead:
        """Return the units of a canary that begins at ``since_us``."""
        if since_us not in self._ahead:
            self._ahead[since_us] = ahead(self.deck, since_us, self.script.terms.window_us)
        return self._ahead[since_us]

    def means(self, since_us: int) -> Means:
        """Return what happened to those units."""
        if since_us not in self._means:
            units = self.ahead(since_us)
            self._means[since_us] = means(
                units, self.deck, self.labels, self.script.terms, (self.ok, self.late, self.took_us)
            )
        return self._means[since_us]

    def pairs_by(self, look: int) -> Books:
        """Return the books of paired rows by a look: both versions score every row, whatever was drawn."""
        while len(self._pairs) <= look:
            before = self._pairs[-1] if self._pairs else self.empty
            self._pairs.append(self.count_pairs(before, len(self._pairs), self.ok))
        return self._pairs[look]

    def count_pairs(self, books: Books, look: int, ok: Bools) -> Books:
        """Add the labelled rows that may be counted by a look; ``ok`` says where the challenger answered."""
        terms = self.script.terms
        until_us = int(self.looks_us[look]) - INGEST_LAG_US - terms.horizon_us
        if until_us - books.pairs_us < self.pace_us:
            return books
        part, newest_us = self.between(books.pairs_us, until_us), self.newest_us(look)
        for name, stable in ((QUALITY, self.deck.stable), (ANCHOR, self.deck.anchor)):
            if stable is not None and terms.gate(name) is not None:
                found = pairs_of(self.deck, self.labels, stable, ok, part, newest_us, self.script.faults.loss)
                books = count_pairs(books, terms, name, found)
        return msgspec.structs.replace(books, pairs_us=until_us)


def _sampled(deck: Deck, sample: float) -> Deck:
    """Return the deck as a shadow sees it that scores a sample of the rows, the same one in every play."""
    if sample >= 1.0:
        return deck
    seen = np.random.default_rng(0).random(deck.rows) < sample
    challenger = msgspec.structs.replace(deck.challenger, tried=deck.challenger.tried & seen)
    return msgspec.structs.replace(deck, challenger=challenger)


def _took_us(deck: Deck, script: Script) -> Floats:
    """Return how long the challenger takes over each row: as logged, else as long as the stable version; and more."""
    base_us = np.where(deck.challenger.latency_us >= 0, deck.challenger.latency_us, deck.stable.latency_us)
    return np.asarray(base_us + float(script.faults.latency_us))


def _slowed(deck: Deck, script: Script, took_us: Floats) -> tuple[Bools, Bools]:
    """Return where the challenger answers in time, and where it is late, with the latency that is injected."""
    said = deck.challenger
    if not script.faults.latency_us:
        return said.ok, said.late
    late: Bools = said.late | (took_us > script.budget_us)
    return said.ok & ~late, late


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
