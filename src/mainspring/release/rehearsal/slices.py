"""What one look of a rehearsal counts: slices of the deck as the values that the books of a live release take."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import Pairs, Units
from mainspring.release.evidence.losses import rewarding
from mainspring.release.policy.metrics import Failures, Judge, Slower
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
    deck: Deck,
    labels: Labels,
    said: tuple[Said, Said],
    answered: Bools,
    part: slice,
    newest_us: int | None,
    charge: float,
) -> Pairs:
    """Return the pairs among some rows of (stable, challenger), as ``evidence.frames.pairs`` finds them in the log."""
    stable, challenger = said
    ours, theirs = stable.ok[part], challenger.tried[part]
    known = ours & labels.in_time[part]
    both = known & theirs
    return Pairs(
        stable=stable.output[part][both],
        challenger=challenger.output[part][both],
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

    def mean(self, values: Bools | Floats) -> Floats:
        """Return the mean of the deck's ``values`` over each unit's window, (u,)."""
        weights = values[self.watched].astype(np.float64)
        return np.bincount(self.of, weights=weights, minlength=len(self.size)) / self.size

    def total(self, values: Bools | Floats) -> Floats:
        """Return the sum of the deck's ``values`` over each unit's window, (u,)."""
        return self.mean(values) * self.size


def ahead(deck: Deck, since_us: int, window_us: int, *, by_request: bool = False) -> Ahead:
    """Return the units met after ``since_us``, but for those that no release may draw."""
    begin = int(np.searchsorted(deck.decision_us, since_us, side="right"))
    drawn = np.arange(begin, deck.rows)
    if deck.held is not None:
        drawn = drawn[~deck.held[begin:]]
    at_us = deck.decision_us[drawn]
    units = drawn.astype(np.uint64) if by_request else deck.unit[drawn]
    names, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    order = np.lexsort((names, at_us[first]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    inside = np.flatnonzero(at_us - at_us[first][inverse] <= window_us)
    of = rank[inverse[inside]]
    return Ahead(
        first_us=at_us[first][order],
        first_row=drawn[first[order]],
        watched=drawn[inside],
        of=of,
        size=np.bincount(of, minlength=len(order)).astype(np.float64),
    )


class Means(msgspec.Struct, frozen=True):
    """What happened to each unit ahead, (u,): failures and late answers for (stable, challenger), and its labels.

    ``loss`` and ``beyond`` (how many were cut to the bound) are there where quality is judged drawn, and so is
    ``reward``: the mean value of what was labelled, NaN where nothing was. ``judged`` are the losses of further metrics
    by name, for both arms.
    """

    first_us: Ints
    failed: tuple[Floats, Floats]
    late: tuple[Floats, Floats]
    label: Floats
    labelled: Floats
    judged: dict[str, tuple[Floats, Floats]]
    loss: tuple[Floats, Floats] | None = None
    beyond: tuple[Floats, Floats] | None = None
    reward: Floats | None = None

    def units(self, chosen: Ints, challenged: Bools, propensity: Floats) -> Units:
        """Return units as they are counted, given the arm that each was drawn to."""
        nothing, unforeseen = np.zeros(len(chosen)), np.full(len(chosen), np.nan)

        def met(arms: tuple[Floats, Floats]) -> Floats:
            return np.where(challenged, arms[1][chosen], arms[0][chosen])

        return Units(
            challenged=challenged,
            propensity=propensity,
            failed=met(self.failed),
            late=met(self.late),
            loss=nothing if self.loss is None else met(self.loss),
            label=self.label[chosen],
            labelled=self.labelled[chosen],
            expected=(unforeseen, unforeseen),
            winsorised=0 if self.beyond is None else round(float(met(self.beyond).sum())),
            judged={name: met(arms) for name, arms in self.judged.items()},
            at_us=self.first_us[chosen],
        )


def means(
    units: Ahead,
    deck: Deck,
    labels: Labels,
    terms: Terms,
    challenger: tuple[Said, Bools, Bools, Floats],
    charge: float,
) -> Means:
    """Return the units' means; ``challenger`` is (said, ok, late, µs that it took) of each row, faults included."""
    said, ok, late, took_us = challenger
    ours = deck.stable.ok, deck.stable.late, deck.stable.latency_us.astype(np.float64)
    found = Means(
        first_us=units.first_us,
        failed=(units.mean(~ours[0] & ~ours[1]), units.mean(~ok & ~late)),
        late=(units.mean(ours[1]), units.mean(late)),
        label=units.mean(labels.in_time & (labels.value > terms.label_cut)),
        labelled=units.mean(labels.in_time),
        judged={one.name: _judged(one, units, labels, ours, (ok, late, took_us)) for one in terms.judges},
    )
    if terms.estimator != "drawn":
        return found
    served = np.where(deck.stable.ok, deck.stable.output, np.nan)
    both = tuple(
        _drawn_losses(terms, labels, answers, extra)
        for answers, extra in ((served, 0.0), (np.where(ok, said.output, served), charge))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        reward = units.total(np.where(labels.in_time, labels.value, 0.0)) / units.total(labels.in_time)
    return msgspec.structs.replace(
        found,
        loss=(units.mean(both[0][0]), units.mean(both[1][0])),
        beyond=(units.total(both[0][1]), units.total(both[1][1])),
        reward=reward,
    )


def _drawn_losses(terms: Terms, labels: Labels, served: Floats, charge: float) -> tuple[Floats, Bools]:
    """Return each row's loss under what would be served, and which were beyond the bound; unlabelled ones lose 0."""
    known = labels.in_time & np.isfinite(served)
    outputs, outcomes = np.where(known, served, 0.0), np.where(known, labels.value, 0.0)
    losses, _ = terms.loss.of(outputs, outcomes)
    beyond = known & terms.loss.beyond(outputs, outcomes)
    return np.where(known, terms.loss.cut(losses + charge), 0.0), beyond


def _judged(
    judge: Judge, units: Ahead, labels: Labels, ours: tuple[Bools, Bools, Floats], theirs: tuple[Bools, Bools, Floats]
) -> tuple[Floats, Floats]:
    """Return a further metric's mean loss for both arms; a reward is the same, as the answer cannot change it."""
    if isinstance(judge, Failures):
        return units.mean(~ours[0] & ~ours[1]), units.mean(~theirs[0] & ~theirs[1])
    if isinstance(judge, Slower):
        stable_us = np.maximum(ours[2], 0.0)
        took_us = np.where(
            theirs[0], theirs[2], theirs[2] + stable_us
        )  # in place of a failed answer comes the stable one
        return units.mean(stable_us > judge.limit_us), units.mean(took_us > judge.limit_us)
    value = np.where(labels.in_time, labels.value, 0.0)
    losses, _ = rewarding(judge.low, judge.high).of(np.zeros(len(value)), value)
    mean = units.mean(np.where(labels.in_time, losses, 0.0))
    return mean, mean
