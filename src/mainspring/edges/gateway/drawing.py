"""Which version each row meets: drawn and handed to the log, before any model code runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.gateway.work import Asked, size_asked
from mainspring.log.records import Assignment, Record, Request
from mainspring.serving.columnar import column_of
from mainspring.serving.draw import HELD_OUT, Drawn, Draws, assign, assign_all, probabilities
from mainspring.serving.ports import Row
from mainspring.serving.routing import HoldoutRoute, ReleaseRoute

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway


def spool_request(gateway: Gateway, asked: Asked, body: bytes, now_us: int, headers: Any) -> Sequence[Drawn]:
    """Draw every row and spool what was asked and drawn, before any model code runs."""
    model, route, rows, pinned = asked.model, asked.model.route, asked.rows, asked.pinned
    release = None if pinned or gateway.tripwires.tripped(model.release) else model.release
    holdout = None if pinned else route.holdout
    stable = pinned.id if pinned else route.champion
    own = _names(asked.id, len(rows)) if model.unit is None or model.entity is None else ()
    units = own if model.unit is None else _texts(rows, model.unit)
    entities = own if model.entity is None else units if model.entity == model.unit else _texts(rows, model.entity)
    out = gateway.tripwires.disabled
    keys = _names(asked.id, len(rows)) if release is not None and release.per == "request" else None
    drawn: Sequence[Drawn]
    if len(units) == 1:
        drawn = [assign(release, stable, units[0], key=keys[0] if keys else None, holdout=holdout, out=out)]
    else:
        drawn = assign_all(release, stable, units, keys=keys, holdout=holdout, out=out)
    subjects = _texts(rows, model.subject) if model.subject is not None else ()
    who = (gateway.guard.caller(headers), headers.get("idempotency-key", "")[:200])
    opened = _Opened(asked, body, now_us, entities, units, subjects, who, release, holdout, drawn, out)
    size = size_asked(asked, len(body))
    asked.sets.append(asked.spool.append_later(opened.records, size.logged, held_bytes=size.held))
    return drawn


class _Opened(msgspec.Struct, gc=False):
    """What a request asked and drew. Together or not at all: no request is without its draw."""

    asked: Asked
    body: bytes
    now_us: int
    entities: tuple[str, ...]
    units: tuple[str, ...]
    subjects: tuple[str, ...]
    who: tuple[str, str]
    release: ReleaseRoute | None
    holdout: HoldoutRoute | None
    drawn: Sequence[Drawn]
    out: Collection[str]

    def records(self) -> Sequence[Record]:
        """Return them as they are logged."""
        asked, drawn = self.asked, self.drawn
        caller, idempotency_key = self.who
        request = Request(
            prediction_id=asked.id,
            project=asked.model.route.project,
            model=asked.model.route.model,
            decision_us=asked.decision_us,
            receipt_us=self.now_us,
            body=self.body,
            entities=self.entities,
            units=self.units,
            subjects=self.subjects,
            caller=caller,
            idempotency_key=idempotency_key,
        )
        everyone = range(len(drawn))
        if self.holdout is None or (isinstance(drawn, Draws) and not drawn.held_out):
            return request, _assignment(asked, self.release, everyone, drawn, self.out)
        # who is held out is logged under a draw of its own, not as drawn by the release
        halves = {held: [place for place in everyone if drawn[place].held_out is held] for held in (False, True)}
        return request, *(
            _assignment(asked, None if held else self.release, places, drawn, self.out)
            for held, places in halves.items()
            if places
        )


def _assignment(
    asked: Asked, release: ReleaseRoute | None, places: Sequence[int], drawn: Sequence[Drawn], out: Collection[str]
) -> Assignment:
    route = asked.model.route
    held = route.holdout if release is None and drawn[places[0]].held_out else None
    several = probabilities(release, route.champion, out) if release is not None and release.others else {}
    if isinstance(drawn, Draws) and len(places) == len(drawn):
        draws, arms, propensities = drawn.draws, drawn.arms, drawn.propensities
    else:
        chosen = [drawn[place] for place in places]
        draws, arms, propensities = zip(*[(one.draw, one.arm, one.propensity) for one in chosen], strict=True)
    return Assignment(
        prediction_id=asked.id,
        model=route.model,
        generation=asked.generation,
        release=release.id if release else HELD_OUT if held else "",
        epoch=release.epoch if release else 0,
        salt=release.salt if release else held.salt if held else "",
        rows=tuple(places),
        draws=tuple(draws),
        arms=tuple(arms),
        propensities=tuple(propensities),
        decision_us=asked.decision_us,
        action_set=tuple(several),
        action_propensities=tuple(several.values()),
    )


def _names(id: str, count: int) -> tuple[str, ...]:
    """Return what the rows are called where the model has no entity: the prediction's id, numbered in a list."""
    return (id,) if count == 1 else tuple([f"{id}.{row}" for row in range(count)])


def _texts(rows: Sequence[Row], place: int) -> tuple[str, ...]:
    if len(rows) == 1:
        return (_text(rows[0][place]),)
    column = column_of(rows, place)
    return tuple(column) if set(map(type, column)) == {str} else tuple(map(_text, column))


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def arms_of(drawn: Sequence[Drawn]) -> Sequence[str]:
    return drawn.arms if isinstance(drawn, Draws) else [one.arm for one in drawn]
