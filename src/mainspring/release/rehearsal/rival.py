"""One challenger on a stage: where it answers, and what no draw changes about it, worked out once."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.evidence.counting import count_pairs
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books
from mainspring.release.gather import INGEST_LAG_US
from mainspring.release.rehearsal.deck import Bools, Deck, Said
from mainspring.release.rehearsal.slices import Means, means, pairs_of
from mainspring.release.rehearsal.stage import Script, Stage
from mainspring.release.terms import ANCHOR, QUALITY


class Rival:
    """A challenger's answers to the rows (n,), faults that are the same in every play included.

    ``place`` is where it stands among the deck's challengers, ``ok`` and ``late`` how each request ends that meets it,
    and ``took_us`` how long.
    """

    def __init__(self, stage: Stage, place: int) -> None:
        script = stage.script
        self.place, self.said = place, stage.deck.challengers[place]
        self.took_us = _took_us(self.said, stage.deck, script)
        self.ok, self.late = _slowed(self.said, script, self.took_us)
        self.failing = not bool(self.ok.all())
        self._stage = stage
        self._pairs: list[Books] = []
        self._means: dict[int, Means] = {}

    def means(self, since_us: int) -> Means:
        """Return what happens to the units of a canary that begins at ``since_us``."""
        if since_us not in self._means:
            self._means[since_us] = self.means_with(since_us, self.ok, self.late)
        return self._means[since_us]

    def means_with(self, since_us: int, ok: Bools, late: Bools) -> Means:
        """Return the same with a play's own faults."""
        stage = self._stage
        theirs = self.said, ok, late, self.took_us
        return means(stage.ahead(since_us), stage.deck, stage.labels, stage.script.terms, theirs,
                     stage.script.faults.loss)  # fmt: skip

    def pairs_by(self, look: int) -> Books:
        """Return the books of paired rows by a look: both versions score every row, whatever was drawn."""
        while len(self._pairs) <= look:
            before = self._pairs[-1] if self._pairs else self._stage.empty
            self._pairs.append(self.count_pairs(before, len(self._pairs), self.ok))
        return self._pairs[look]

    def count_pairs(
        self, books: Books, look: int, ok: Bools, *, stable: Bools | None = None, tried: Bools | None = None
    ) -> Books:
        """Add the labelled rows that may be counted by a look; ``ok`` says where the challenger answered.

        ``stable`` and ``tried`` (rows,) say which rows each version has scored, where that is not every row.
        """
        stage, terms = self._stage, self._stage.script.terms
        until_us = int(stage.looks_us[look]) - INGEST_LAG_US - terms.horizon_us
        if until_us - books.pairs_us < stage.pace_us:
            return books
        part, newest_us = stage.between(books.pairs_us, until_us), stage.newest_us(look)
        theirs = self.said if tried is None else msgspec.structs.replace(self.said, tried=tried)
        for name, version in ((QUALITY, stage.deck.stable), (ANCHOR, stage.deck.anchor)):
            if version is None or (name == ANCHOR and terms.gate(name) is None):
                continue
            ours = version if stable is None else msgspec.structs.replace(version, ok=stable)
            found = pairs_of(
                stage.deck, stage.labels, (ours, theirs), ok, part, newest_us, stage.script.faults.loss
            )  # fmt: skip
            books = count_pairs(books, terms, name, found)
        return msgspec.structs.replace(books, pairs_us=until_us)


def _took_us(said: Said, deck: Deck, script: Script) -> Floats:
    """Return how long the challenger takes over each row: as logged, else as long as the stable version; and more."""
    base_us = np.where(said.latency_us >= 0, said.latency_us, deck.stable.latency_us)
    return np.asarray(base_us + float(script.faults.latency_us))


def _slowed(said: Said, script: Script, took_us: Floats) -> tuple[Bools, Bools]:
    """Return where the challenger answers in time, and where it is late, with the latency that is injected."""
    if not script.faults.latency_us:
        return said.ok, said.late
    late: Bools = said.late | (took_us > script.budget_us)
    return said.ok & ~late, late
