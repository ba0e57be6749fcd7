"""``POST /outcomes/{model}``: what came true, one object or a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.gateway.limits import check_rows, not_ahead, parse_moment, read_query
from mainspring.kernel.classes import class_kind, class_texts
from mainspring.kernel.schema import Column, Label
from mainspring.log.records import Outcomes, classes_of
from mainspring.serving.decode import RowDecoder

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

OPTIONAL = ("event_time", "known_at")


def outcome_decoder(entity: Column, kind: str, classes: Sequence[Label] = ()) -> RowDecoder:
    """Return the decoder of ``{<entity>: …, "value": …, "event_time"?: …, "known_at"?: …}``."""
    value = Column("value", class_kind(classes) if kind == "class" else "bool" if kind == "bool" else "float")
    return RowDecoder(
        (msgspec.structs.replace(entity, nullable=False), value, *(Column(n, "str") for n in OPTIONAL)), OPTIONAL
    )


async def outcomes(gateway: Gateway, scope: Any, proto: Any, name: str) -> int:
    """Take outcomes of a model's entities."""
    query = read_query(scope, "project")
    model = gateway.follower.model(name, query.get("project"))
    body = proto.body
    rows, several = model.outcomes.decode(body)
    check_rows(len(rows), gateway.limits.pushed_rows)
    now_us = gateway.clock.now_us()
    moments = [_moments(row, at if several else None, now_us) for at, row in enumerate(rows)]
    made = Outcomes(
        project=model.route.project,
        model=model.route.model,
        entities=tuple([str(row[0]) for row in rows]),
        values=() if model.champion.classes else tuple([float(row[1]) for row in rows]),
        event_us=tuple([event_us for event_us, _ in moments]),
        known_us=tuple([known_us for _, known_us in moments]),
    )
    labels = class_texts([row[1] for row in rows]) if model.champion.classes else ()
    spool = gateway.spool
    await spool.durable(spool.append(classes_of(made, labels) if labels else made))
    return gateway.respond(proto, spool, _taken(len(rows), labels, model.champion.parts), status=202)


def _taken(count: int, labels: Sequence[str], known: Sequence[str]) -> bytes:
    """Return the answer; a class that the champion does not know is true all the same, and is told of."""
    unknown = sorted({label for label in labels if label not in known})
    return msgspec.json.encode({"accepted": count, **({"unknown_classes": unknown} if unknown else {})})


def _moments(row: tuple[Any, ...], index: int | None, now_us: int) -> tuple[int, int]:
    """Return when it happened and when it was known; both default to now, and neither may lie ahead."""
    where = "" if index is None else f"[{index}]."
    known_us = now_us if row[3] is None else parse_moment(row[3], where + "known_at")
    not_ahead(known_us, now_us, where + "known_at", row[3])
    event_us = known_us if row[2] is None else parse_moment(row[2], where + "event_time")
    not_ahead(event_us, now_us, where + "event_time", row[2])
    return event_us, known_us
