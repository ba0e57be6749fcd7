"""Evidence: what was measured so far, as a value that cannot be made from nothing."""

from __future__ import annotations

import math

import msgspec

from mainspring.kernel.errors import InvalidInput
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.ratio import Ratio
from mainspring.release.evidence.stream import Gate, Measured, Stream


class Books(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All sums of one release, as stored between two steps.

    Each ``_us`` is how far one kind of counting has come in decision time: rows (guards in shadow), pairs (labelled
    rows that both scored), drawn (units' guards that need no label) and drawn labels. Of ``champion_rows`` mature
    answers of the champion, ``paired_rows`` had one of the challenger too; ``seen_rows`` are those and younger ones.
    ``too_late_outcomes`` (of those known by ``outcomes_us``) came after the horizon and count for nothing;
    ``best_effort_rows`` were left out. Where there are several challengers, ``arms`` has the sums of each and
    ``earned`` the rewards of every version.
    """

    streams: dict[str, Stream] = {}
    ratio: Ratio = Ratio()
    ratio_labelled: Ratio = Ratio()
    rows_us: int = 0
    pairs_us: int = 0
    drawn_us: int = 0
    drawn_labels_us: int = 0
    champion_rows: int = 0
    paired_rows: int = 0
    labelled_rows: int = 0
    step_requests: int = 0
    shadow_requests: int = 0
    newest_label_us: int | None = None
    too_late_outcomes: int = 0
    outcomes_us: int = 0
    best_effort_rows: int = 0
    seen_rows: int = 0
    arms: dict[str, Books] = {}
    earned: dict[str, Earned] = {}

    def with_stream(self, gate: Gate, stream: Stream) -> Books:
        """Return the books with one stream replaced."""
        return msgspec.structs.replace(self, streams={**self.streams, gate.name: stream})

    def after(self, kind: str, step: int, at_us: int) -> Books:
        """Return the books after a decision: fresh ones for a new comparison, a new count of requests for a new share.

        What is drawn begins with the first share.
        """
        if kind not in ("rebase", "advance"):
            return self
        arms = {version: books.after(kind, step, at_us) for version, books in self.arms.items()}
        if kind == "rebase":
            return Books(rows_us=at_us, pairs_us=at_us, drawn_us=at_us, drawn_labels_us=at_us, arms=arms)
        counted = msgspec.structs.replace(self, step_requests=0, arms=arms)
        return msgspec.structs.replace(counted, drawn_us=at_us, drawn_labels_us=at_us) if step == 1 else counted


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At least one comparison over at least one unit, all of it finite: what a promotion must be given.

    ``counted_us`` is how far rows, pairs, drawn units and the labels of those had been counted.

    >>> Evidence(measured=(), units=0)
    Traceback (most recent call last):
    mainspring.kernel.errors.InvalidInput: evidence: cannot be made from nothing
    """

    measured: tuple[Measured, ...]
    units: int
    coverage: float = 1.0
    labelled_share: float = 1.0
    newest_label_us: int | None = None
    immature: int = 0
    counted_us: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.measured or self.units < 1:
            raise InvalidInput("cannot be made from nothing", field="evidence")
        for one in self.measured:
            ends = (one.low, one.high) if one.low is not None and one.high is not None else ()
            if one.n < 1 or not all(map(math.isfinite, (one.estimate, *ends))):
                raise InvalidInput("is not finite", field="evidence", value=one.name)

    def of(self, name: str) -> Measured | None:
        """Return one comparison by its name."""
        return next((one for one in self.measured if one.name == name), None)

    def metrics(self) -> tuple[Measured, ...]:
        """Return the comparisons that promotion needs."""
        return tuple(one for one in self.measured if one.role == "metric")


def evidence(books: Books, gates: tuple[Gate, ...], alpha_ratio: float, *, intervals: bool = True) -> Evidence | None:
    """Return what the books show, or None where they show nothing yet."""
    shown = [books.streams.get(gate.name, Stream()).measured(gate, intervals=intervals) for gate in gates]
    measured = [one for one in shown if one is not None]
    for name, ratio in (("sample_ratio", books.ratio), ("sample_ratio_labelled", books.ratio_labelled)):
        if ratio.n:
            measured.append(_ratio(name, ratio, alpha_ratio / 2.0))
    if not measured:
        return None
    return Evidence(
        measured=tuple(measured),
        units=max(one.n for one in measured),
        coverage=books.paired_rows / books.champion_rows if books.champion_rows else 1.0,
        labelled_share=books.labelled_rows / books.champion_rows if books.champion_rows else 1.0,
        newest_label_us=books.newest_label_us,
        immature=max(books.seen_rows - books.champion_rows, 0),
        counted_us=(books.rows_us, books.pairs_us, books.drawn_us, books.drawn_labels_us),
    )


def _ratio(name: str, ratio: Ratio, alpha: float) -> Measured:
    share = (ratio.challenged - ratio.expected) / ratio.n
    return Measured(
        name, "ratio", "drawn", ratio.n, share, share, share, stop_limit=0.0, e_stop=ratio.e(), stop_at=1.0 / alpha
    )
