"""What one look of a rehearsal counts: slices of the deck as the values that the books of a live release take."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import Pairs, Units
from mainspring.release.rehearsal.deck import NEVER_US, Bools, Deck, Ints, Said
from mainspring.release.terms import Terms


class Labels(msgspec.Struct, frozen=True):
    """Each row's outcome as it counts: its value, whether it came within H, and when the last one was known."""

    value: Floats
    in_time: Bools


def labels(deck: Deck, terms: Terms) -> Labels:
    """Return what counts as each row's outcome; with ``absent_is_negative`` silence by H is the outcome 0."""
    waited = np.where(deck.known_us == NEVER_US, NEVER_US, deck.known_us - deck.decision_us)
    told = (waited <= terms.horizon_us) & np.isfinite(deck.outcome)
    if terms.absent_is_negative:
        return Labels(np.where(told, deck.outcome, 0.0), np.ones(deck.rows, dtype=np.bool_))
    return Labels(deck.outcome, told)


def pairs_of(
    deck: Deck, labels: Labels, stable: Said, answered: Bools, part: slice, newest_us: int | None, charge: float
) -> Pairs:
    """Return the pairs among some rows, as ``evidence.frames.pairs`` finds them in the log."""
    ours, theirs = stable.ok[part], deck.challenger.tried[part]
    known = ours & labels.in_time[part]
    both = known & theirs
    return Pairs(
        stable=stable.output[part][both],
        challenger=deck.challenger.output[part][both],
        answered=answered[part][both],
        outcome=labels.value[part][both],
        rows=int(ours.sum()),
        paired=int((ours & theirs).sum()),
        labelled=int(known.sum()),
        newest_label_us=newest_us,
        charge=charge,
        at_us=deck.decision_us[part][both],
    )


class Ahead(msgspec.Struct, frozen=True):
    """The units of a canary in the order of their first request after its start, (u,), and the rows that tell of each.

    ``first_row`` is where that request lies in the deck; ``watched`` are the rows of the deck inside a unit's window,
    ``of`` the unit of each, and ``size`` how many a unit has.
    """

    first_us: Ints
    first_row: Ints
    watched: Ints
    of: Ints
    size: Floats

    def mean(self, values: Bools) -> Floats:
        """Return the mean of the deck's ``values`` over each unit's window, (u,)."""
        weights = values[self.watched].astype(np.float64)
        return np.bincount(self.of, weights=weights, minlength=len(self.size)) / self.size


def ahead(deck: Deck, since_us: int, window_us: int) -> Ahead:
    """Return the units met after ``since_us``."""
    begin = int(np.searchsorted(deck.decision_us, since_us, side="right"))
    at_us = deck.decision_us[begin:]
    names, first, inverse = np.unique(deck.unit[begin:], return_index=True, return_inverse=True)
    order = np.lexsort((names, at_us[first]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    inside = np.flatnonzero(at_us - at_us[first][inverse] <= window_us)
    of = rank[inverse[inside]]
    return Ahead(
        first_us=at_us[first][order],
        first_row=begin + first[order],
        watched=begin + inside,
        of=of,
        size=np.bincount(of, minlength=len(order)).astype(np.float64),
    )


class Means(msgspec.Struct, frozen=True):
    """What happened to each unit ahead, (u,): failures and late answers for (stable, challenger), and its labels."""

    failed: tuple[Floats, Floats]
    late: tuple[Floats, Floats]
    label: Floats
    labelled: Floats

    def units(self, chosen: Ints, challenged: Bools, propensity: Floats) -> Units:
        """Return units as they are counted, given the arm that each was drawn to."""
        nothing = np.zeros(len(chosen))
        return Units(
            challenged=challenged,
            propensity=propensity,
            failed=np.where(challenged, self.failed[1][chosen], self.failed[0][chosen]),
            late=np.where(challenged, self.late[1][chosen], self.late[0][chosen]),
            loss=nothing,
            label=self.label[chosen],
            labelled=self.labelled[chosen],
            expected=(nothing, nothing),
            winsorised=0,
        )


def means(units: Ahead, deck: Deck, labels: Labels, terms: Terms, ok: Bools, late: Bools) -> Means:
    """Return the units' means; ``ok`` and ``late`` are the challenger's, faults included."""
    ours = deck.stable
    return Means(
        failed=(units.mean(~ours.ok & ~ours.late), units.mean(~ok & ~late)),
        late=(units.mean(ours.late), units.mean(late)),
        label=units.mean(labels.in_time & (labels.value > terms.label_cut)),
        labelled=units.mean(labels.in_time),
    )
