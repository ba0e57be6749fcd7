"""What a play has counted by a look: the functions that count for live releases, on what the draw has dealt."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from mainspring.release.evidence.counting import count_drawn, count_drawn_labels, count_shadow
from mainspring.release.evidence.earned import Earned
from mainspring.release.evidence.eprocess import Floats
from mainspring.release.evidence.gathered import Books
from mainspring.release.gather import INGEST_LAG_US
from mainspring.release.rehearsal.deck import Bools, Ints
from mainspring.release.rehearsal.moment import Moment
from mainspring.release.rehearsal.side import Side
from mainspring.release.rehearsal.stage import STABLE, Stage
from mainspring.release.state import State

NOBODY = -1


class Tally:
    """Counts what a play's draw has dealt. ``drawn`` (rows,) is where each row fell in [0, 1)."""

    def __init__(self, stage: Stage, sides: Sequence[Side], drawn: Floats) -> None:
        self._stage, self._deck, self._terms = stage, stage.deck, stage.script.terms
        self._sides, self._drawn = sides, drawn

    def met(self, moment: Moment, part: slice) -> Bools:
        """Tell which rows were answered by any challenger."""
        found = np.zeros(part.stop - part.start, dtype=np.bool_)
        for place in self._dealt_to(moment):
            found |= self._met(moment, part, place)
        return found

    def exposed(self, moment: Moment, now_us: int) -> Moment:
        """Count rows that met a challenger, and let each one's tripwire see them."""
        if not moment.state.share_changes:
            return moment
        part = self._stage.between(moment.exposed_us, now_us)
        wires = list(moment.wires)
        for place in self._dealt_to(moment):
            side = self._sides[place]
            if side.fails:
                where = np.flatnonzero(self._met(moment, part, place)) + part.start
                wires[place] = wires[place].after(
                    self._deck.decision_us[where], ~side.ok[where], self._stage.expected_failing[where],
                    self._terms.planned_requests,
                )  # fmt: skip
        moment = msgspec.structs.replace(moment, wires=tuple(wires), exposed_us=now_us)
        rows = moment.exposed_rows + int(self.met(moment, part).sum())
        return msgspec.structs.replace(moment, exposed_rows=rows)

    def counted(self, moment: Moment, now_us: int) -> Books:
        """Return the books with everything that may be counted by now."""
        state, books = moment.state, moment.books
        if not state.contest:
            books = self._pairs(self._rows(books, moment, moment.current, now_us), moment, moment.current)
            if state.draws and state.stage != "kept":  # there everybody meets the challenger
                return self._units(books, moment, moment.current, now_us)
            return books
        arms = dict(books.arms)
        places = [self._place(one.version) for one in state.contest]
        for one, place in zip(state.contest, places, strict=True):
            arms[one.version] = self._pairs(self._rows(arms[one.version], moment, place, now_us), moment, place)
        if state.stage == "shadow" or not self._due(books, now_us):
            return msgspec.structs.replace(books, arms=arms)
        for one, place in zip(state.contest, places, strict=True):
            arms[one.version] = self._units(arms[one.version], moment, place, now_us)
        earned = self._earned(books, moment, places, now_us)
        return self._counted_until(msgspec.structs.replace(books, arms=arms, earned=earned), now_us)

    def _place(self, version: str) -> int:
        return self._stage.script.versions.index(version)

    def _dealt_to(self, moment: Moment) -> list[int]:
        """Return the challengers that were ever drawn to."""
        return np.flatnonzero(moment.dealing.shares.any(axis=0)).tolist()

    def _met(self, moment: Moment, part: slice, place: int) -> Bools:
        """Tell which rows were drawn to a challenger, and answered by it until a gateway took it out."""
        at_us = self._deck.decision_us[part]
        met = moment.dealing.met(self._drawn[part], at_us, place)
        tripped_us = moment.wires[place].tripped_us
        return met if tripped_us is None else met & (at_us <= tripped_us)

    def _shadowed(self, moment: Moment, at_us: Ints) -> Bools | None:
        """Tell which rows every version has scored; None where all of them are."""
        if self._terms.strategy not in ("ab_test", "bandit") or not moment.state.share_changes:
            return None
        return np.asarray(at_us <= moment.state.share_changes[0])

    def _rows(self, books: Books, moment: Moment, place: int, now_us: int) -> Books:
        until_us = now_us - INGEST_LAG_US
        if until_us - books.rows_us < INGEST_LAG_US:
            return books
        part = self._stage.between(books.rows_us, until_us)
        at_us, side, ours = self._deck.decision_us[part], self._sides[place], self._deck.stable
        met, ok, late = self._met(moment, part, place), side.ok[part], side.late[part]
        both = side.rival.said.tried[part] & ours.tried[part]
        shadowed = both if moment.state.stage == "kept" else both & ~met
        stable = ours.ok[part]
        scored = self._shadowed(moment, at_us)
        if scored is not None:
            shadowed &= scored
            stable = stable & (scored | ~self.met(moment, part) | ~ok)
        failed = (~ok & ~late)[shadowed].astype(np.float64), late[shadowed].astype(np.float64)
        stable_ok, stable_late = ours.ok[part][shadowed], ours.late[part][shadowed]
        books = count_shadow(
            books, self._terms,
            (*failed, (~stable_ok & ~stable_late).astype(np.float64), stable_late.astype(np.float64)),
        )  # fmt: skip
        answered = met & ok & (at_us > moment.state.stage_since_us)
        return msgspec.structs.replace(
            books, rows_us=until_us, step_requests=books.step_requests + int(answered.sum()),
            seen_rows=books.seen_rows + int(stable.sum()),
        )  # fmt: skip

    def _pairs(self, books: Books, moment: Moment, place: int) -> Books:
        side, look = self._sides[place], moment.look
        whole = slice(0, self._deck.rows)
        scored = self._shadowed(moment, self._deck.decision_us)
        if scored is not None:
            met = self._met(moment, whole, place)
            stable = self._deck.stable.ok & (scored | ~self.met(moment, whole) | ~side.ok)
            tried = side.rival.said.tried & (scored | met)
            return side.rival.count_pairs(books, look, side.ok, stable=stable, tried=tried)
        if side.own_faults:
            return side.rival.count_pairs(books, look, side.ok)
        counted = side.rival.pairs_by(look)
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

    def _due(self, books: Books, now_us: int) -> bool:
        until_us = now_us - INGEST_LAG_US - self._terms.window_us
        return until_us - books.drawn_us >= self._stage.pace_us

    def _units(self, books: Books, moment: Moment, place: int, now_us: int) -> Books:
        """Add the units that drew a challenger or the champion."""
        if not self._due(books, now_us):
            return books
        happened = self._sides[place].means(moment.state.share_changes[0])
        for begun_us, end_us, count in (
            (books.drawn_us, self._until_us(now_us), count_drawn),
            (books.drawn_labels_us, self._until_us(now_us) - self._terms.horizon_us, count_drawn_labels),
        ):
            chosen = self._stage.whole_units(moment.state, begun_us, end_us)
            chosen, challenged, propensity = self._between(moment, chosen, place)
            books = count(books, self._terms, happened.units(chosen, challenged, propensity))
        return self._counted_until(books, now_us)

    def _until_us(self, now_us: int) -> int:
        return now_us - INGEST_LAG_US - self._terms.window_us

    def _counted_until(self, books: Books, now_us: int) -> Books:
        until_us = self._until_us(now_us)
        labels_until_us = max(books.drawn_labels_us, until_us - self._terms.horizon_us)
        return msgspec.structs.replace(books, drawn_us=until_us, drawn_labels_us=labels_until_us)

    def _between(self, moment: Moment, chosen: Ints, place: int) -> tuple[Ints, Bools, Floats]:
        """Return the units that drew one of the two, whether it was the challenger, and how probable that was."""
        units = self._stage.ahead(moment.state.share_changes[0])
        at_us, drawn = units.first_us[chosen], self._drawn[units.first_row[chosen]]
        if not moment.state.contest:
            share = moment.dealing.share(at_us, place)
            return chosen, moment.dealing.met(drawn, at_us, place), share
        arm, shares = self._arms(moment, at_us, drawn)
        either = ((arm == place) | (arm == NOBODY)) & (shares[:, place] > 0)
        own, stable = shares[either, place], 1.0 - shares[either].sum(axis=1)
        return chosen[either], arm[either] == place, own / (own + stable)

    def _arms(self, moment: Moment, at_us: Ints, drawn: Floats) -> tuple[Ints, Floats]:
        """Return the challenger that each unit drew, ``NOBODY`` for the champion, and every challenger's probability.

        The champion has what would have been drawn to one that a gateway took out.
        """
        shares = moment.dealing.of(at_us)
        arm = np.full(len(at_us), NOBODY)
        for place in self._dealt_to(moment):
            arm[moment.dealing.met(drawn, at_us, place)] = place
            tripped_us = moment.wires[place].tripped_us
            if tripped_us is not None:
                arm[(arm == place) & (at_us > tripped_us)] = NOBODY
                shares[at_us > tripped_us, place] = 0.0
        return arm, shares

    def _earned(self, books: Books, moment: Moment, places: list[int], now_us: int) -> dict[str, Earned]:
        """Return each version's rewards with those that have matured since the last look."""
        terms, state = self._terms, moment.state
        chosen = self._stage.whole_units(state, books.drawn_labels_us, self._until_us(now_us) - terms.horizon_us)
        units = self._stage.ahead(state.share_changes[0])
        at_us = units.first_us[chosen]
        arm, shares = self._arms(moment, at_us, self._drawn[units.first_row[chosen]])
        probabilities = {NOBODY: 1.0 - shares.sum(axis=1), **{place: shares[:, place] for place in places}}
        half_life_us = terms.allocation.half_life_us if terms.allocation is not None else None
        earned = {}
        for place, probability in probabilities.items():
            version = STABLE if place == NOBODY else self._stage.script.versions[place]
            mine = arm == place
            reward = self._reward(state, place)[chosen[mine]]
            known = np.isfinite(reward)
            earned[version] = books.earned.get(version, Earned()).add(
                reward[known], probability[mine][known], at_us[mine][known], half_life_us,
                missing=int((~known).sum()),
            )  # fmt: skip
        return earned

    def _reward(self, state: State, place: int) -> Floats:
        """Return what each unit ahead earns if it meets a version; NaN where no reward came in time."""
        loss, charge = self._terms.loss, 0.0 if place == NOBODY else self._stage.script.faults.loss
        value = self._sides[max(place, 0)].means(state.share_changes[0]).reward
        assert value is not None  # noqa: S101  (a bandit judges what is drawn)
        losses, _ = loss.of(np.zeros(len(value)), value)
        return loss.worth(loss.cut(losses + charge))
