"""One play: a release from its start to its end on a deck, stepped by the engine that steps live ones.

Only the clock and the draw are simulated. What is counted, when, and what is decided on it are the functions of a live
release; its arrays come from a deck instead of the log.
"""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring.release.engine import Decision, Facts, State, acknowledged, after, decide
from mainspring.release.evidence.counting import count_drawn, count_drawn_labels, count_shadow
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books, evidence
from mainspring.release.gather import INGEST_LAG_US
from mainspring.release.rehearsal.deck import Bools, Ints
from mainspring.release.rehearsal.slices import Means, means
from mainspring.release.rehearsal.stage import CHALLENGER, STABLE, Stage
from mainspring.release.rehearsal.wire import Wire

TRIPPED = "its requests failed one after another"


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one play ended. ``status`` is ``running`` where the log ended first; ``exposed`` rows met a challenger.

    ``winner`` is the place of the challenger that was promoted, where one was.
    """

    status: str
    reason: str
    after_us: int
    shadow_us: int | None
    exposed_rows: int
    exposed_units: int
    winner: int = 0


class Moment(msgspec.Struct, frozen=True):
    """Where a play stands between two looks; ``exposed_us`` is how far rows that met the challenger are counted."""

    state: State
    books: Books
    look: int = 0
    wire: Wire = Wire()
    exposed_us: int = 0
    exposed_rows: int = 0


class Play:
    """One draw of a stage. ``place`` (rows,) is where each row's unit fell in [0, 1), ``fails`` injected failures."""

    def __init__(self, stage: Stage, place: Floats, fails: Bools | None = None) -> None:
        self._stage, self._deck, self._terms = stage, stage.deck, stage.script.terms
        self._place = place
        self._ok = stage.ok if fails is None else stage.ok & ~fails
        self._late = stage.late if fails is None else stage.late & ~fails
        self._own_faults = fails is not None
        self._means: tuple[int, Means] | None = None

    def run(self, begin: Moment | None = None, kept: list[Decision] | None = None) -> tuple[Ended, Moment | None]:
        """Play to the end; also return the moment at which the first share was decided. ``kept`` gets each decision."""
        moment = self.opening() if begin is None else begin
        first = begin
        while moment.look < len(self._stage.looks_us) and not moment.state.over and moment.state.status != "held":
            moment = self.step(moment, kept)
            if first is None and moment.state.share > 0:
                first = moment
        return self._ended(moment), first

    def opening(self) -> Moment:
        """Return the moment at which the release starts."""
        at_us = self._stage.script.from_us
        return Moment(State(started_us=at_us, stage_since_us=at_us), self._stage.empty, exposed_us=at_us)

    def step(self, moment: Moment, kept: list[Decision] | None = None) -> Moment:
        """Count what has come by the next look, decide, and go on from there."""
        terms, now_us = self._terms, int(self._stage.looks_us[moment.look])
        state = self._taken_up(moment.state, now_us)
        moment = self._expose(msgspec.structs.replace(moment, state=state), now_us)
        books = moment.books
        if state.generation is not None:
            books = self._rows(moment, now_us)
            books = self._pairs(books, moment.look)
            if state.stage == "canary":
                books = self._drawn(books, state, now_us)
        fresh = msgspec.structs.replace(books, newest_label_us=self._stage.newest_us(moment.look))
        found = evidence(fresh, terms.gates, terms.alpha_ratio, intervals=kept is not None)
        decision = decide(terms, state, found, self._facts(moment, books), now_us)
        if kept is not None:
            kept.append(decision)
        if decision.kind != "wait":
            state = after(state, decision, found)
            books = books.after(decision.kind, decision.step, now_us)
            if self._stage.script.takes_us == 0:
                state = self._taken_up(state, now_us)
        return msgspec.structs.replace(moment, state=state, books=books, look=moment.look + 1)

    def _taken_up(self, state: State, now_us: int) -> State:
        if now_us < state.stage_since_us + self._stage.script.takes_us:
            return state
        return acknowledged(state, 1, now_us)

    def _facts(self, moment: Moment, books: Books) -> Facts:
        return Facts(
            champion=STABLE,
            compared_with=STABLE,
            challenger=CHALLENGER,
            disabled=TRIPPED if moment.wire.tripped_us is not None else "",
            step_requests=books.step_requests,
            shadow_requests=books.shadow_requests,
        )

    def _met(self, moment: Moment, part: slice) -> Bools:
        """Tell which rows were drawn to the challenger, and answered by it until a gateway took it out."""
        at_us = self._deck.decision_us[part]
        met: Bools = self._place[part] < self._stage.shares(moment.state, at_us)
        tripped_us = moment.wire.tripped_us
        return met if tripped_us is None else met & (at_us <= tripped_us)

    def _expose(self, moment: Moment, now_us: int) -> Moment:
        if not moment.state.share_changes:
            return moment
        part = self._stage.between(moment.exposed_us, now_us)
        met = self._met(moment, part)
        wire = moment.wire
        if self._own_faults or self._stage.failing:
            where = np.flatnonzero(met) + part.start
            wire = wire.after(self._deck.decision_us[where], ~self._ok[where], self._stage.expected_failing[where],
                              self._terms.planned_requests)  # fmt: skip
            met = self._met(msgspec.structs.replace(moment, wire=wire), part)
        return msgspec.structs.replace(
            moment, wire=wire, exposed_us=now_us, exposed_rows=moment.exposed_rows + int(met.sum())
        )

    def _rows(self, moment: Moment, now_us: int) -> Books:
        books, deck, ours = moment.books, self._deck, self._deck.stable
        until_us = now_us - INGEST_LAG_US
        if until_us - books.rows_us < INGEST_LAG_US:
            return books
        part = self._stage.between(books.rows_us, until_us)
        met = self._met(moment, part)
        shadowed = ~met & deck.challenger.tried[part] & ours.tried[part]
        ok, late = self._ok[part], self._late[part]
        failed = (~ok & ~late)[shadowed].astype(np.float64), late[shadowed].astype(np.float64)
        stable_ok, stable_late = ours.ok[part][shadowed], ours.late[part][shadowed]
        books = count_shadow(
            books, self._terms,
            (*failed, (~stable_ok & ~stable_late).astype(np.float64), stable_late.astype(np.float64)),
        )  # fmt: skip
        answered = met & ok & (deck.decision_us[part] > moment.state.stage_since_us)
        return msgspec.structs.replace(
            books, rows_us=until_us, step_requests=books.step_requests + int(answered.sum()),
            seen_rows=books.seen_rows + int(ours.ok[part].sum()),
        )  # fmt: skip

    def _pairs(self, books: Books, look: int) -> Books:
        if self._own_faults:
            return self._stage.count_pairs(books, look, self._ok)
        counted = self._stage.pairs_by(look)
        return msgspec.structs.replace(
            counted,
            streams={**books.streams, **counted.streams},
            ratio=books.ratio,
            ratio_labelled=books.ratio_labelled,
            rows_us=books.rows_us,
            drawn_us=books.drawn_us,
            drawn_labels_us=books.drawn_labels_us,
            step_requests=books.step_requests,
            shadow_requests=books.shadow_requests,
            seen_rows=books.seen_rows,
        )

    def _drawn(self, books: Books, state: State, now_us: int) -> Books:
        until_us = now_us - INGEST_LAG_US - self._terms.window_us
        labels_until_us = until_us - self._terms.horizon_us
        if until_us - books.drawn_us < self._stage.pace_us:
            return books
        since_us = state.share_changes[0]
        happened = self._happened(since_us)
        for begun_us, end_us, count in (
            (books.drawn_us, until_us, count_drawn),
            (books.drawn_labels_us, labels_until_us, count_drawn_labels),
        ):
            chosen = self._stage.whole_units(state, begun_us, end_us)
            units = self._stage.ahead(since_us)
            share = self._stage.shares(state, units.first_us[chosen])
            challenged: Bools = self._place[units.first_row[chosen]] < share
            books = count(books, self._terms, happened.units(chosen, challenged, share))
        return msgspec.structs.replace(
            books, drawn_us=until_us, drawn_labels_us=max(books.drawn_labels_us, labels_until_us)
        )

    def _happened(self, since_us: int) -> Means:
        if not self._own_faults:
            return self._stage.means(since_us)
        if self._means is None or self._means[0] != since_us:
            units = self._stage.ahead(since_us)
            found = means(
                units, self._deck, self._stage.labels, self._terms, (self._ok, self._late, self._stage.took_us)
            )
            self._means = since_us, found
        return self._means[1]

    def _ended(self, moment: Moment) -> Ended:
        state, script = moment.state, self._stage.script
        last_us = state.ended_us if state.ended_us is not None else int(self._stage.looks_us[moment.look - 1])
        begun: Ints = np.array(state.share_changes, dtype=np.int64)
        units = 0
        if len(begun):
            part = self._stage.between(int(begun[0]), last_us)
            units = len(np.unique(self._deck.unit[part][self._met(moment, part)]))
        return Ended(
            status=state.status,
            reason=state.reason,
            after_us=last_us - script.from_us,
            shadow_us=int(begun[0]) - script.from_us if len(begun) else None,
            exposed_rows=moment.exposed_rows,
            exposed_units=units,
        )
