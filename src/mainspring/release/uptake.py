"""Whether the gateways have taken a release's present stage up."""

from __future__ import annotations

import msgspec

from mainspring.release.agreement import challengers_of
from mainspring.release.engine import acknowledged
from mainspring.release.release import Record
from mainspring.serving.routing import Routing


def acknowledge(record: Record, generation: int | None, routing: Routing | None, now_us: int) -> Record:
    """Return the record with its stage begun, once all live gateways answer by a routing that contains it."""
    state = record.state
    if state.acknowledged_us is not None:
        return record
    if routing is not None:
        live = generation is not None and generation >= routing.generation and _contains(routing, record)
    else:
        live = generation is None or generation > max(state.changed_generation, 0)
    if not live:
        return record
    return msgspec.structs.replace(record, state=acknowledged(state, generation or 0, now_us))


def _contains(routing: Routing, record: Record) -> bool:
    model = next((one for one in routing.models if one.model == record.model), None)
    if model is None:
        return False
    if record.state.stage == "shadow":
        return set(challengers_of(record)) <= {shadow.version for shadow in model.shadows}
    drawn = model.release
    if drawn is None or (drawn.id, drawn.epoch) != (record.id, record.state.epoch):
        return False
    shares = {drawn.challenger: drawn.share, **{one.version: one.share for one in drawn.others}}
    wanted = {one.version: one.share for one in record.state.contest} or {record.challenger: record.state.share}
    return shares == wanted
