"""The hot path, for every protocol: decode, limits, draw, spool the assignment, look up, run, encode; then shadows."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.adapters.runtimes.process import Busy
from mainspring.edges.gateway.limits import (
    DEADLINE,
    Late,
    ModelFailed,
    TooMany,
    check_rows,
    deadline_ms,
    decision_time,
    read_query,
)
from mainspring.edges.gateway.protocols.arrow import CONTENT_TYPE as ARROW
from mainspring.edges.gateway.protocols.codec import Given
from mainspring.edges.gateway.routes import Said
from mainspring.edges.gateway.snapshot import Arm, Local, Model
from mainspring.edges.gateway.together import FEW
from mainspring.edges.gateway.told import Told, read_trace
from mainspring.kernel.crashpoints import reached
from mainspring.kernel.errors import Unavailable, unknown
from mainspring.log.ports import Spool
from mainspring.log.records import Assignment, Record, Request, Role, Scored, ScoredRows, Status, vectors_of
from mainspring.serving.columnar import ColumnRows, by_column, column_of
from mainspring.serving.decode import Malformed
from mainspring.serving.draw import HELD_OUT, Drawn, Draws, assign, assign_all, probabilities
from mainspring.serving.looked import Looked, LookedRows
from mainspring.serving.ports import Row
from mainspring.serving.routing import HoldoutRoute, ReleaseRoute

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway

VERSION = "x-mainspring-version"
LATE = "late"
WAIT_SHARE = 0.5  # of the deadline may go by in a model's queue: work comes in batches, and takes its time too
INVALID = "invalid"
AWAY = "failed: its process is away"
BUSY = "failed: it has too many requests already"
_NO_FAULTS: dict[int, str] = {}
_MOST_SLACK_S = 0.05
_ABOUT_BYTES = 700  # of the records of one row, without its body


class Asked(msgspec.Struct, gc=False):
    """One request on its way: what it carries, and what is known for it."""

    id: str
    model: Model
    generation: int
    decision_us: int
    began_ns: int
    deadline_ms: int
    rows: Sequence[Row]
    pinned: Arm | None = None
    looked: Sequence[Sequence[Looked]] = ()

    def remaining_s(self) -> float:
        """Return what is left of the deadline."""
        return self.deadline_ms / 1e3 - (time.perf_counter_ns() - self.began_ns) / 1e9


class Part(msgspec.Struct, gc=False):
    """Some rows of a request as one version meets them, in a role and for a release."""

    asked: Asked
    arm: Arm
    role: Role
    places: Sequence[int]
    release: str


class Ran(msgspec.Struct, gc=False):
    """What one version made of some rows: a value each, or a fault by place."""

    values: Sequence[float | None]
    faults: Mapping[int, str]
    latency_us: int


class Answers:
    """Each row's answer and the version that gave it; and the rows that every version met."""

    __slots__ = ("given", "met")

    def __init__(self, count: int) -> None:
        self.given: list[tuple[Arm, float] | None] = [None] * count
        self.met: dict[str, list[int]] = {}

    def said(self) -> Given:
        """Return who answered each row, and what."""
        return [one for one in self.given if one is not None]


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
    model = gateway.snapshot().model(name, query.get("project", project))
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
    asked = Asked(gateway.ids.next(), model, model.generation, at_us, proto.began_ns, within_ms, rows, pin)
    drawn = _spool_request(gateway, asked, decoded.listed, now_us, headers)
    reached("gateway.after_assignment")
    asked.looked = model.look_up(rows, at_us)
    call = Call(gateway, asked, drawn, headers, proto, codec, decoded)
    stable = _stable_here(asked, drawn)
    if stable is None:
        return _answer_later(call, None)
    if gateway.connections > FEW and len(rows) == 1 and stable.engine.together:
        gateway.together.add(stable, call)
        return None
    answers = _answered_here(gateway, asked, stable, run_here(stable, asked, range(len(rows)), asked.remaining_s()))
    if gateway.acknowledgement == "durable":
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


async def _answer_later(call: Call, answers: Answers | None) -> int:
    """Answer what waits for another process, or for the disk."""
    if answers is None:
        answers = await _answer(call.gateway, call.asked, call.drawn)
    if call.gateway.acknowledgement == "durable":
        await call.gateway.spool.durable()
    return _say(call, answers)


def _say(call: Call, answers: Answers) -> int:
    gateway, asked = call.gateway, call.asked
    reached("gateway.before_answer")
    said, encoded = call.codec.encode(call.decoded, asked.id, answers.said())
    status = gateway.respond(call.proto, encoded, headers=said)
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
    fell_back = any(arm.id != drawn_arm for arm, drawn_arm in zip(arms, _arms(drawn), strict=True))
    return Told(
        id=asked.id,
        project=route.project_name,
        model=route.name,
        versions=tuple(sorted({arm.number for arm in arms})),
        role="pinned" if asked.pinned else "fallback" if fell_back else "served",
        generation=asked.generation,
        rows=len(asked.rows),
        status=status,
        took_us=_since_us(asked.began_ns),
        caller=gateway.guard.caller(headers),
        trace=read_trace(headers),
    )


def refuse_vain_work(stable: Arm, within_ms: int, began_ns: int) -> None:
    """Refuse, before anything is drawn, what could only be answered too late."""
    left_s = within_ms / 1e3 - (time.perf_counter_ns() - began_ns) / 1e9
    if left_s <= 0:
        raise Late("its deadline passed before work began", field="model", remedy="try again, or allow more time")
    if stable.engine.wait_s > left_s * WAIT_SHARE:
        raise _busy(stable.engine.wait_s)


def _busy(wait_s: float) -> TooMany:
    return TooMany("has more requests than it can answer in time", field="model", remedy="ask less", wait_s=wait_s)


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


def _spool_request(gateway: Gateway, asked: Asked, body: bytes, now_us: int, headers: Any) -> Sequence[Drawn]:
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
    gateway.spool.append_later(opened.records, len(body) + _ABOUT_BYTES * len(rows))
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


def _arms(drawn: Sequence[Drawn]) -> Sequence[str]:
    return drawn.arms if isinstance(drawn, Draws) else [one.arm for one in drawn]


def _stable_here(asked: Asked, drawn: Sequence[Drawn]) -> Arm | None:
    """Return the version that answers every row, if it is one and its graph is in this process."""
    model = asked.model
    arm = asked.pinned or model.champion
    if type(arm.engine) is not Local:
        return None
    if model.challengers and asked.pinned is None and not model.challengers.keys().isdisjoint(_arms(drawn)):
        return None
    return arm


def _answered_here(gateway: Gateway, asked: Asked, arm: Arm, ran: Ran) -> Answers:
    answers, places = Answers(len(asked.rows)), range(len(asked.rows))
    _settle(gateway, asked, answers, Part(asked, arm, _role(asked), places, _release(asked)), ran)
    return answers


def score_together(gateway: Gateway, arm: Arm, calls: Sequence[Call]) -> None:
    """Answer requests of one row each, of one model or of several that this version answers."""
    ran = _run_together(arm, calls)
    kept = []
    for call, one in zip(calls, ran, strict=True):
        try:
            answers = _answered_here(gateway, call.asked, arm, one)
            if gateway.acknowledgement == "durable":
                kept.append((call, answers))
            else:
                gateway.answered(call.proto, _say(call, answers))
        except Exception as error:
            gateway.failed(call.proto, error)
    if kept:
        gateway.wait(_say_when_kept(gateway, kept))


def _run_together(arm: Arm, calls: Sequence[Call]) -> list[Ran]:
    """Run a graph of this process on a row of each request; where that fails, on each by itself."""
    engine = arm.engine
    one = range(1)
    if len(calls) > 1 and isinstance(engine, Local) and all(call.asked.remaining_s() > 0 for call in calls):
        began_ns = time.perf_counter_ns()
        try:
            values = engine.runtime.few([arm.row(call.asked.rows[0], call.asked.looked[0]) for call in calls])
        except Exception:  # one of them may be at fault: each is told of its own
            values = []
        took_us = _since_us(began_ns)
        if values and math.isfinite(sum(values)):
            return [Ran((value,), _NO_FAULTS, took_us) for value in values]
    return [run_here(arm, call.asked, one, call.asked.remaining_s()) for call in calls]


async def _say_when_kept(gateway: Gateway, kept: Sequence[tuple[Call, Answers]]) -> None:
    """Answer several requests once all that was logged of them is on disk."""
    try:
        await gateway.spool.durable()
    except Exception as error:
        for call, _ in kept:
            gateway.failed(call.proto, error)
        return
    for call, answers in kept:
        try:
            gateway.answered(call.proto, _say(call, answers))
        except Exception as error:
            gateway.failed(call.proto, error)


async def _answer(gateway: Gateway, asked: Asked, drawn: Sequence[Drawn]) -> Answers:
    """Let both arms answer; whatever the challenger leaves open the stable version answers in its place."""
    answers = Answers(len(asked.rows))
    tried: dict[str, list[int]] = {}
    if asked.model.challengers and asked.pinned is None:
        for place, drawn_arm in enumerate(_arms(drawn)):
            if drawn_arm in asked.model.challengers:
                tried.setdefault(drawn_arm, []).append(place)
    if not tried:
        await _stable(gateway, asked, answers, range(len(drawn)), _role(asked))
        return answers
    rest = [place for place, drawn_arm in enumerate(_arms(drawn)) if drawn_arm not in tried]
    challenging = asyncio.gather(*[_challenge(gateway, asked, answers, arm, tried[arm]) for arm in tried])
    if rest:
        try:
            await _stable(gateway, asked, answers, rest, "served")
        except BaseException:
            challenging.cancel()
            raise
    await challenging
    left = [place for places in tried.values() for place in places if answers.given[place] is None]
    if left:
        await _stable(gateway, asked, answers, left, "fallback")
    return answers


def _role(asked: Asked) -> Role:
    return "served" if asked.pinned is None else "pinned"


def _release(asked: Asked) -> str:
    release = asked.model.release
    return release.id if release is not None and asked.pinned is None else ""


async def _challenge(gateway: Gateway, asked: Asked, answers: Answers, version: str, places: Sequence[int]) -> None:
    arm, release = asked.model.challengers[version], asked.model.release
    if release is None:
        return
    slack_s = min(_MOST_SLACK_S, 0.1 * asked.deadline_ms / 1e3)  # the loop itself may come late
    budget_s = asked.remaining_s() - asked.model.champion.engine.latency.p99_us / 1e6 - slack_s
    ran = await run(arm, asked, places, budget_s)
    spool_scored(gateway.spool, Part(asked, arm, "served", places, release.id), ran)
    gateway.tripwires.challenger_answered(release, version, bool(ran.faults), next(iter(ran.faults.values()), ""))
    _take(answers, arm, places, ran)


async def _stable(gateway: Gateway, asked: Asked, answers: Answers, places: Sequence[int], role: Role) -> None:
    arm = asked.pinned or asked.model.champion
    ran = await run(arm, asked, places, asked.remaining_s())
    _settle(gateway, asked, answers, Part(asked, arm, role, places, _release(asked)), ran)


def _settle(gateway: Gateway, asked: Asked, answers: Answers, part: Part, ran: Ran) -> None:
    """Spool, count and take what the stable version answered; it is the last who is asked."""
    spool_scored(gateway.spool, part, ran)
    release = asked.model.release
    if release is not None and asked.pinned is None:
        gateway.tripwires.stable_answered(release, bool(ran.faults))
    _take(answers, part.arm, part.places, ran)
    if ran.faults:
        refusal = _refusal(next(iter(ran.faults.values())), asked)
        refusal.add_note(f"prediction {asked.id}")
        raise refusal
    part.arm.engine.latency.add(ran.latency_us)


def _take(answers: Answers, arm: Arm, places: Sequence[int], ran: Ran) -> None:
    answers.met.setdefault(arm.id, []).extend(places)
    given, values = answers.given, ran.values
    if not ran.faults and len(places) == len(given):
        given[:] = zip(repeat(arm), values)  # type: ignore[arg-type]  # without a fault there is a value
        return
    if not ran.faults:
        for at, place in enumerate(places):
            given[place] = arm, values[at]  # type: ignore[assignment]  # without a fault there is a value
        return
    for at, place in enumerate(places):
        value = values[at]
        if value is not None and at not in ran.faults:
            given[place] = arm, value


def _refusal(fault: str, asked: Asked) -> Exception:
    name = asked.model.route.name
    if fault == LATE:
        return Late("did not answer in time", field="model", value=name, remedy="try again, or raise its deadline")
    if fault == BUSY:
        return _busy(1.0)
    if fault == AWAY:
        return Unavailable("its process is away", field="model", value=name, remedy="try again in a second")
    return ModelFailed("could not answer this request", field="model", value=name, remedy="look at its log")


async def run(arm: Arm, asked: Asked, places: Sequence[int], budget_s: float) -> Ran:
    """Run a version on some rows of a request within a budget; whatever goes wrong is a fault, never an exception."""
    engine = arm.engine
    if isinstance(engine, Local):
        return run_here(arm, asked, places, budget_s)
    if budget_s <= 0:
        return _all(LATE, len(places), 0)
    began_ns = time.perf_counter_ns()
    try:
        inputs = [arm.row(asked.rows[place], asked.looked[place]) for place in places]
        answer = await asyncio.wait_for(engine.process.ask(inputs, budget_s), budget_s)
        return Ran(answer.values, answer.faults, _since_us(began_ns))
    except TimeoutError:
        return _all(LATE, len(places), _since_us(began_ns))
    except Busy:
        return _all(BUSY, len(places), _since_us(began_ns))
    except Unavailable:
        return _all(AWAY, len(places), _since_us(began_ns))
    except Exception as error:  # what cannot be sent cannot be asked; the caller's answer comes from elsewhere
        return _raised(error, len(places), began_ns)


def run_here(arm: Arm, asked: Asked, places: Sequence[int], budget_s: float) -> Ran:
    """Run a graph of this process on some rows of a request, on the thread of the event loop."""
    engine: Any = arm.engine
    if budget_s <= 0:
        return _all(LATE, len(places), 0)
    began_ns = time.perf_counter_ns()
    rows, looked = asked.rows, asked.looked
    try:
        if len(places) == 1:
            place = places[0]
            values = [engine.runtime.one(arm.row(rows[place], looked[place]))]
        elif isinstance(rows, ColumnRows) and isinstance(looked, LookedRows):
            values = engine.runtime.run_columns(arm.columns(rows.take(places), looked.take(places)), len(places))
        else:
            values = engine.runtime.run([arm.row(rows[place], looked[place]) for place in places])
    except Exception as error:  # a graph may raise anything; the caller's answer comes from elsewhere
        return _raised(error, len(places), began_ns)
    faults = _NO_FAULTS
    if not math.isfinite(sum(values)):
        faults = {at: INVALID for at, value in enumerate(values) if not math.isfinite(value)}
    return Ran(values, faults, _since_us(began_ns))


def _raised(error: Exception, count: int, began_ns: int) -> Ran:
    return _all(f"failed: {type(error).__name__}: {error}"[:200], count, _since_us(began_ns))


def _since_us(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1_000


def _all(fault: str, count: int, latency_us: int) -> Ran:
    return Ran((None,) * count, dict.fromkeys(range(count), fault), latency_us)


def spool_scored(spool: Spool, part: Part, ran: Ran) -> None:
    """Spool what a version answered: one record for the rows that went well, and one for each kind of fault."""
    meter = part.arm.engine.meters[part.role]
    if not ran.faults:
        meter.took.add(ran.latency_us)
    for fault in ran.faults.values():
        meter.failed(_status(fault), 1)
    spool.append_later(_Scores(part, ran).records, _ABOUT_BYTES * len(part.places))


def _status(fault: str) -> Status:
    return "ok" if not fault else "late" if fault == LATE else "invalid" if fault == INVALID else "failed"


class _Scores(msgspec.Struct, gc=False):
    """What a version answered for some rows of a request."""

    part: Part
    ran: Ran

    def records(self) -> Sequence[Record]:
        """Return it as it is logged."""
        part, ran = self.part, self.ran
        if not ran.faults:
            return (_record(part, part.places, ran.values, ran.latency_us),)
        groups: dict[str, list[int]] = {}
        for at in range(len(part.places)):
            groups.setdefault(ran.faults.get(at, ""), []).append(at)
        records = []
        for fault, members in groups.items():
            values = [None if fault else ran.values[at] for at in members]
            records.append(_record(part, [part.places[at] for at in members], values, ran.latency_us, fault))
        return records


def _record(
    part: Part, places: Sequence[int], values: Sequence[float | None], latency_us: int, fault: str = ""
) -> Scored:
    asked, arm, looked, seen = part.asked, part.arm, part.asked.looked, None
    if isinstance(looked, LookedRows):
        features, seen = arm.distinct_features(looked.take(places))
    else:
        features = arm.features(looked)
    threshold = arm.threshold
    told = (
        asked.id,
        asked.model.route.model,
        arm.id,
        part.role,
        _status(fault),
        asked.generation,
        tuple(places),
        tuple(values),
        features,
        latency_us,
        asked.decision_us,
        fault,
        threshold,
        () if threshold is None else tuple([None if v is None else v >= threshold for v in values]),
        b"",
        part.release,
    )
    made = Scored(*told) if seen is None else ScoredRows(*told, seen)
    return vectors_of(made, arm.parts) if arm.parts else made
