"""One play: a release from its start to its end on a deck, stepped by the engine that steps live ones.

Only the clock and the draw are simulated. What is counted, when, and what is decided on it are the functions of a live
release; its arrays come from a deck instead of the log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from mainspring.release.engine import Contender, Decision, Facts, Seen, State, Waiver, acknowledged, after, decide
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books, Evidence, evidence
from mainspring.release.rehearsal.deck import Bools, Ints
from mainspring.release.rehearsal.moment import Moment
from mainspring.release.rehearsal.rival import Rival
from mainspring.release.rehearsal.side import Side
from mainspring.release.rehearsal.stage import STABLE, Stage
from mainspring.release.rehearsal.tally import Tally
from mainspring.release.terms import QUALITY

TRIPPED = "its requests failed one after another"
WAIVED = Waiver("rehearsal", "the policy asks for no evidence")


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


class Play:
    """One draw of a stage. ``place`` (rows,) is where each row's unit fell in [0, 1), ``fails`` injected failures.

    ``salt`` seeds what a bandit draws from its rewards.
    """

    def __init__(
        self, stage: Stage, rivals: Sequence[Rival], place: Floats, fails: Bools | None = None, salt: str = ""
    ) -> None:
        self._stage, self._terms, self._salt = stage, stage.script.terms, salt
        held = stage.deck.held
        drawn = place if held is None else np.where(held, 1.0, place)
        self._tally = Tally(stage, tuple(Side(rival, fails) for rival in rivals), drawn)

    def run(self, begin: Moment | None = None, kept: list[Decision] | None = None) -> tuple[Ended, Moment | None]:
        """Play to the end; also return the moment at which the first share was decided. ``kept`` gets each decision."""
        moment = self.opening(kept) if begin is None else begin
        first = begin
        while moment.look < len(self._stage.looks_us) and not moment.state.over and moment.state.status != "held":
            moment = self.step(moment, kept)
            if first is None and moment.state.share > 0:
                first = moment
        return self._ended(moment), first

    def opening(self, kept: list[Decision] | None = None) -> Moment:
        """Return the moment at which the release starts; an immediate one is over with it."""
        script, stage = self._stage.script, self._stage
        contenders: tuple[Contender, ...] = ()
        books = stage.empty
        if self._terms.several:
            named = zip(script.versions, script.numbers, strict=True)
            contenders = tuple(Contender(version, number) for version, number in named)
            books = msgspec.structs.replace(books, arms=dict.fromkeys(script.versions, stage.empty))
        state = State(started_us=script.from_us, stage_since_us=script.from_us, contenders=contenders)
        moment = Moment.at(state, books, len(script.versions))
        if self._terms.strategy == "immediate":
            return self._decided(moment, script.from_us, kept)
        return moment

    def step(self, moment: Moment, kept: list[Decision] | None = None) -> Moment:
        """Count what has come by the next look, decide, and go on from there."""
        now_us = int(self._stage.looks_us[moment.look])
        moment = msgspec.structs.replace(moment, state=self._taken_up(moment.state, now_us))
        moment = self._tally.exposed(moment, now_us)
        if moment.state.generation is not None:
            moment = msgspec.structs.replace(moment, books=self._tally.counted(moment, now_us))
        moment = self._decided(moment, now_us, kept)
        return msgspec.structs.replace(moment, look=moment.look + 1)

    def _decided(self, moment: Moment, now_us: int, kept: list[Decision] | None) -> Moment:
        terms, state, books = self._terms, moment.state, moment.books
        found = None if state.contest else self._shows(moment, books, intervals=kept is not None)
        facts = self._facts(moment, intervals=kept is not None)
        decision = decide(terms, state, found, facts, now_us)
        if kept is not None:
            kept.append(decision)
        if decision.kind == "wait":
            return moment
        warrant: Evidence | Waiver | None = facts.of(decision.winner).evidence if decision.winner else found
        state = after(state, decision, warrant if terms.judged else WAIVED)
        current = self._stage.script.versions.index(decision.winner) if decision.winner else moment.current
        if decision.winner and decision.kind == "advance":
            books = books.arms[decision.winner]
        books = books.after(decision.kind, decision.step, now_us)
        if self._stage.script.takes_us == 0:
            state = self._taken_up(state, now_us)
        moment = msgspec.structs.replace(moment, state=state, books=books, current=current)
        return moment.dealt(self._stage.script.versions)

    def _taken_up(self, state: State, now_us: int) -> State:
        if now_us < state.stage_since_us + self._stage.script.takes_us:
            return state
        return acknowledged(state, 1, now_us)

    def _shows(self, moment: Moment, books: Books, *, intervals: bool) -> Evidence | None:
        newest_us = self._stage.newest_us(moment.look) if len(self._stage.looks_us) else None
        fresh = msgspec.structs.replace(books, newest_label_us=newest_us)
        shown = evidence(fresh, self._terms.gates, self._terms.alpha_ratio, intervals=intervals)
        return shown if intervals or shown is None else self._with_interval(shown, books)

    def _with_interval(self, shown: Evidence, books: Books) -> Evidence:
        """Add the interval that an end by precision is decided on, once it may be as narrow as that asks.

        Its half is at least ``√(2V ln(1/α))/Σw``: no e-value is greater than e to the S²/2V.
        """
        gate, stream, precision = self._terms.gate(QUALITY), books.streams.get(QUALITY), self._terms.precision
        if precision is None or gate is None or stream is None:
            return shown
        if math.sqrt(2.0 * stream.v * math.log(1.0 / gate.alpha_promote)) > precision * stream.w:
            return shown
        known = (stream.measured(gate) or one if one.name == QUALITY else one for one in shown.measured)
        return msgspec.structs.replace(shown, measured=tuple(known))

    def _facts(self, moment: Moment, *, intervals: bool) -> Facts:
        books, versions = moment.books, self._stage.script.versions
        seen = tuple(
            Seen(
                one.version,
                self._shows(moment, books.arms[one.version], intervals=intervals),
                books.earned.get(one.version),
                self._disabled(moment, versions.index(one.version)),
            )
            for one in moment.state.contest
        )
        return Facts(
            champion=STABLE,
            compared_with=STABLE,
            challenger=versions[moment.current],
            disabled=self._disabled(moment, moment.current),
            step_requests=books.step_requests,
            shadow_requests=books.shadow_requests,
            seen=seen,
            earned=books.earned.get(STABLE),
            salt=self._salt,
        )

    def _disabled(self, moment: Moment, place: int) -> str:
        return TRIPPED if moment.wires[place].tripped_us is not None else ""

    def _ended(self, moment: Moment) -> Ended:
        state, script = moment.state, self._stage.script
        last_us = state.ended_us if state.ended_us is not None else int(self._stage.looks_us[moment.look - 1])
        begun: Ints = np.array(state.share_changes, dtype=np.int64)
        rows, units = moment.exposed_rows, 0
        if self._terms.strategy == "immediate":  # nothing takes it back: whoever asks from then on meets it
            part = self._stage.between(last_us, script.until_us)
            rows, units = part.stop - part.start, len(np.unique(self._stage.deck.unit[part]))
        elif len(begun):
            part = self._stage.between(int(begun[0]), last_us)
            units = len(np.unique(self._stage.deck.unit[part][self._tally.met(moment, part)]))
        return Ended(
            status=state.status,
            reason=state.reason,
            after_us=last_us - script.from_us,
            shadow_us=int(begun[0]) - script.from_us if len(begun) else None,
            exposed_rows=rows,
            exposed_units=units,
            winner=moment.current,
        )
