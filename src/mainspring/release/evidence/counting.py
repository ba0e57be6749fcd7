"""Adding rows and units to the books of a release: the one place where terms, frames and sums meet. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.release.evidence.drawn import drawn_terms, running_means
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.frames import Pairs, Units
from mainspring.release.evidence.gathered import Books
from mainspring.release.evidence.paired import paired_terms
from mainspring.release.evidence.stream import Gate, Stream
from mainspring.release.policy.metrics import Reward
from mainspring.release.terms import ANCHOR, FAILED, LABEL, LABELLED, LATE, QUALITY, SHADOW_FAILED, SHADOW_LATE, Terms

FAILURE_PRIOR, HALF_PRIOR = 0.01, 0.5


def count_pairs(books: Books, terms: Terms, name: str, counted: Pairs) -> Books:
    """Add labelled rows that both scored; where the challenger failed, the stable answer would have been served."""
    gate = terms.gate(name)
    if gate is not None and gate.estimator == "paired":
        stable, above = terms.loss.of(counted.stable, counted.outcome)
        challenger, also_above = terms.loss.of(
            np.where(counted.answered, counted.challenger, counted.stable), counted.outcome
        )
        if counted.charge:
            challenger = terms.loss.cut(challenger + counted.charge)
        stream = books.streams.get(name, Stream())
        books = books.with_stream(
            gate,
            stream.add(gate, *paired_terms(challenger, stable), winsorised=above + also_above, at_us=counted.at_us),
        )
    if name == ANCHOR:
        return books
    labels = [one for one in (books.newest_label_us, counted.newest_label_us) if one is not None]
    return msgspec.structs.replace(
        books,
        champion_rows=books.champion_rows + counted.rows,
        paired_rows=books.paired_rows + counted.paired,
        labelled_rows=books.labelled_rows + counted.labelled,
        newest_label_us=max(labels, default=None),
    )


def count_shadow(books: Books, terms: Terms, counted: tuple[Floats, Floats, Floats, Floats]) -> Books:
    """Add the challenger's failures and late answers in shadow, row by row against the stable version's."""
    failed, late, stable_failed, stable_late = counted
    for name, theirs, ours in ((SHADOW_FAILED, failed, stable_failed), (SHADOW_LATE, late, stable_late)):
        gate = terms.gate(name)
        if gate is not None:
            stream = books.streams.get(name, Stream())
            books = books.with_stream(gate, stream.add(gate, *paired_terms(theirs, ours)))
    return msgspec.structs.replace(books, shadow_requests=books.shadow_requests + len(failed))


def count_drawn(books: Books, terms: Terms, units: Units) -> Books:
    """Add what needs no label: failures, late answers and the sample ratio at assignment."""
    for name, losses in ((FAILED, units.failed), (LATE, units.late)):
        books = _add_drawn(books, terms.gate(name), units, losses, FAILURE_PRIOR)
    for judge in terms.judges:
        if not isinstance(judge, Reward):
            books = _add_drawn(books, terms.gate(judge.name), units, units.judged[judge.name], FAILURE_PRIOR)
    return msgspec.structs.replace(books, ratio=books.ratio.add(units.challenged, units.propensity))


def count_drawn_labels(books: Books, terms: Terms, units: Units) -> Books:
    """Add what waits for labels: the label's own difference, its share, quality where it is judged drawn, the ratio."""
    for name, losses in ((LABEL, units.label), (LABELLED, units.labelled)):
        books = _add_drawn(books, terms.gate(name), units, losses, HALF_PRIOR)
    for judge in terms.judges:
        if isinstance(judge, Reward):
            gate = terms.gate(judge.name)
            books = _add_drawn(books, gate, units, units.judged[judge.name], _part_of_bound(gate, 0.5))
    gate = terms.gate(QUALITY)
    if gate is not None and gate.estimator == "drawn":
        foreseen = tuple(terms.loss.cut(one) for one in units.expected)
        books = _add_drawn(
            books, gate, units, units.loss, _part_of_bound(gate, 0.1), foreseen=(foreseen[0], foreseen[1]),
            winsorised=units.winsorised,
        )  # fmt: skip
    known = units.labelled > 0
    return msgspec.structs.replace(
        books, ratio_labelled=books.ratio_labelled.add(units.challenged[known], units.propensity[known])
    )


def _add_drawn(
    books: Books,
    gate: Gate | None,
    units: Units,
    losses: Floats,
    prior: float,
    *,
    foreseen: tuple[Floats, Floats] | None = None,
    winsorised: int = 0,
) -> Books:
    if gate is None or gate.estimator != "drawn" or len(losses) == 0:
        return books
    stream = books.streams.get(gate.name, Stream())
    means, arms = running_means(units.challenged, losses, stream.arms, prior, gate.bound)
    if foreseen is not None:
        both = np.isfinite(foreseen[0]) & np.isfinite(foreseen[1])
        means = (np.where(both, foreseen[0], means[0]), np.where(both, foreseen[1], means[1]))
    w, x, v = drawn_terms(units.challenged, units.propensity, losses, means)
    if gate.bound is None and stream.n == 0:  # nothing was known before the first unit
        w[0] = x[0] = v[0] = 0.0
    smallest_arm = _smallest_arm(units, stream.arms) if gate.bound is None else None
    stream = stream.add(gate, w, x, v, winsorised=winsorised, at_us=units.at_us, smallest_arm=smallest_arm)
    return books.with_stream(gate, msgspec.structs.replace(stream, arms=arms))


def _part_of_bound(gate: Gate | None, part: float) -> float:
    """Return what a mean loss is taken for before any was seen; a metric without a bound has nothing to go by."""
    return 0.0 if gate is None or gate.bound is None else gate.bound * part


def _smallest_arm(units: Units, arms: tuple[int, float, int, float]) -> NDArray[np.int64]:
    """Return how many units the smaller arm has after each one."""
    challenged = np.cumsum(units.challenged)
    stable = np.arange(1, len(challenged) + 1) - challenged
    return np.asarray(np.minimum(arms[0] + stable, arms[2] + challenged), dtype=np.int64)
