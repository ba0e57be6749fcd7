"""The hot path, for every protocol: decode, limits, draw, spool the assignment, look up, run, encode; then shadows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.edges.gateway.answering import answer_by_all, answered_here, stable_here, too_busy
from mainspring.edges.gateway.drawing import arms_of, spool_request
from mainspring.edges.gateway.engines import Local, Remote
from mainspring.edges.gateway.limits import (
    DEADLINE,
    Late,
    check_rows,
    deadline_ms,
    decision_time,
    read_query,
)
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE as ARROW
from mainspring.edges.gateway.routes import Said
from mainspring.edges.gateway.running import run_here, run_together
from mainspring.edges.gateway.snapshot import Arm, Model
from mainspring.edges.gateway.together import FEW
from mainspring.edges.gateway.told import Told, read_trace
from mainspring.edges.gateway.work import Answers, Asked, since_us
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import unknown
from mainspring.serving.columnar import by_column
from mainspring.serving.decode import Malformed
from mainspring.serving.draw import Drawn

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

VERSION = "x-mainspring-version"
WAIT_SHARE = 0.5  # of the deadline may go by in a model's queue: work comes in batches, and takes its time too


def predict(gateway: Gateway, scope: Any, proto: Any, name: str) -> Said:
    """Answer ``POST /predict/{model}``: one object or a list of them, or a stream of Arrow batches."""
    protocol = "arrow" if scope.headers.get("content-type") == ARROW else "native"
    return answer(gateway, scope, proto, name, protocol)


def answer(
    gateway: Gateway, scope: Any, proto: Any, name: str, protocol: str, version: str | None = None,
    project: str | None = None,
) -> Said:  # fmt: skip
    """Answer a request in a protocol's words; every one of them comes through here and differs in its codec alone.

    It is answered at once where nothing has to be waited for, else when what is returned is awaited; where nothing is
    returned, it is answered with the others of this turn.
    """
    query = read_query(scope, "project", "version")
    model = gateway.follower.model(name, query.get("project", project))
    codec = model.codecs[protocol]
    headers = scope.headers
    pin = _pin(model, version, query.get("version"), headers.get(VERSION))
    if pin is not None:
        gateway.guard.require("operate", headers)
    within_ms = deadline_ms(headers.get(DEADLINE), model.route.deadline_ms)
    refuse_vain_work(pin or model.champion, within_ms, proto.began_ns)
    decoded = codec.decode(proto.body, headers)
    rows = by_column(decoded.rows)
    if decoded.several:
        check_rows(len(rows), model.route.max_rows)
    now_us = gateway.clock.now_us()
    at_us = decision_time(headers.get("x-mainspring-at"), now_us, model.route.oldest_decision_us)
    asked = Asked(
        gateway.ids.next(), gateway.spool, model, model.generation, at_us, proto.began_ns, within_ms, rows, pin
    )
    drawn = spool_request(gateway, asked, decoded.listed, now_us, headers)
    reached("gateway.after_assignment")
    asked.looked = model.look_up(rows, at_us)
    call = Call(gateway, asked, drawn, headers, proto, codec, decoded)
    stable = stable_here(asked, drawn)
    if stable is None:
        engine = (pin or model.champion).engine
        return _answer_later(call, None) if isinstance(engine, Local) else _admitted(call, engine)
    if gateway.connections > FEW and len(rows) == 1 and stable.engine.together:
        gateway.together.add(stable, call)
        return None
    answers = answered_here(gateway, asked, stable, run_here(stable, asked, range(len(rows)), asked.remaining_s()))
    if asked.spool.acknowledgement == "durable":
        return _answer_later(call, answers)
    return _say(call, answers)


class Call(msgspec.Struct, gc=False):
    """What it takes to say an answer."""

    gateway: Gateway
    asked: Asked
    drawn: Sequence[Drawn]
    headers: Any
    proto: Any
    codec: Any
    decoded: Any


def _admitted(call: Call, engine: Remote) -> Awaitable[int]:
    """Count a request before it is waited for: those that come in the same turn must know of it."""
    engine.admitted += 1
    return _wait_admitted(call, engine)


async def _wait_admitted(call: Call, engine: Remote) -> int:
    try:
        return await _answer_later(call, None)
    finally:
        engine.admitted -= 1


async def _answer_later(call: Call, answers: Answers | None) -> int:
    """Answer what waits for another process, or for the disk."""
    if answers is None:
        answers = await answer_by_all(call.gateway, call.asked, call.drawn)
    await call.asked.spool.durable(*call.asked.sets)
    return _say(call, answers)


def _say(call: Call, answers: Answers) -> int:
    gateway, asked = call.gateway, call.asked
    reached("gateway.before_answer")
    said, encoded = call.codec.encode(call.decoded, asked.id, answers.said())
    status = gateway.respond(call.proto, asked.spool, encoded, headers=said)
    reached("gateway.after_answer")
    gateway.counters.took[asked.model.route.model].add((time.perf_counter_ns() - asked.began_ns) // 1_000)
    if asked.model.shadows:
        gateway.shadows.offer(asked, answers.met)
    if gateway.witnesses:
        gateway.tell(_told(gateway, asked, call.drawn, answers, status, call.headers))
    return status


def _told(gateway: Gateway, asked: Asked, drawn: Sequence[Drawn], answers: Answers, status: int, headers: Any) -> Told:
    route = asked.model.route
    arms = [arm for arm, _ in filter(None, answers.given)]
    fell_back = any(arm.id != drawn_arm for arm, drawn_arm in zip(arms, arms_of(drawn), strict=True))
    return Told(
        id=asked.id,
        project=route.project_name,
        model=route.name,
        versions=tuple(sorted({arm.number for arm in arms})),
        role="pinned" if asked.pinned else "fallback" if fell_back else "served",
        generation=asked.generation,
        rows=len(asked.rows),
        status=status,
        took_us=since_us(asked.began_ns),
        caller=gateway.guard.caller(headers),
        trace=read_trace(headers),
    )


def score_together(gateway: Gateway, arm: Arm, calls: Sequence[Call]) -> None:
    """Answer requests of one row each, of one model or of several that this version answers."""
    ran = run_together(arm, [call.asked for call in calls])
    kept = []
    for call, one in zip(calls, ran, strict=True):
        try:
            answers = answered_here(gateway, call.asked, arm, one)
            if call.asked.spool.acknowledgement == "durable":
                kept.append((call, answers))
            else:
                gateway.answered(call.proto, _say(call, answers))
        except Exception as error:
            gateway.failed(call.proto, error)
    if kept:
        gateway.wait(_say_when_kept(gateway, kept))


async def _say_when_kept(gateway: Gateway, kept: Sequence[tuple[Call, Answers]]) -> None:
    """Answer several requests, each once all that was logged of it is on disk."""
    for call, answers in kept:
        try:
            await call.asked.spool.durable(*call.asked.sets)
            gateway.answered(call.proto, _say(call, answers))
        except Exception as error:
            gateway.failed(call.proto, error)


def refuse_vain_work(stable: Arm, within_ms: int, began_ns: int) -> None:
    """Refuse, before anything is drawn, what could only be answered too late."""
    left_s = within_ms / 1e3 - (time.perf_counter_ns() - began_ns) / 1e9
    if left_s <= 0:
        raise Late("its deadline passed before work began", field="model", remedy="try again, or allow more time")
    if stable.engine.wait_s > left_s * WAIT_SHARE:
        raise too_busy(stable.engine.wait_s)


def _pin(model: Model, path: str | None, query: str | None, header: str | None) -> Arm | None:
    """Return the version that path, query or header asks for; they may all say it, but not differently."""
    if path is query is header is None:
        return None
    said = {version for version in (path, query, header) if version is not None}
    if len(said) > 1:
        remedy = "state one version"
        raise Malformed("duplicate_argument", "is stated twice", field="version", value=sorted(said), remedy=remedy)
    return pinned(model, said.pop())


def pinned(model: Model, number: str) -> Arm:
    """Return the version of that number, if it is one that may be asked for."""
    arms = {model.champion.number: model.champion, **model.pinned}
    found = next((arm for known, arm in arms.items() if str(known) == number), None)
    if found is None:
        raise unknown("version", number, [str(known) for known in arms])
    return found
