"""Who answers a request: the stable version, a challenger within its time, or the stable one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from mainspring.edges.gateway.drawing import arms_of
from mainspring.edges.gateway.engines import Local, Remote
from mainspring.edges.gateway.limits import (
    Late,
    ModelFailed,
    TooMany,
)
from mainspring.edges.gateway.running import AWAY, BUSY, LATE, fault_of_all, run, spool_scored
from mainspring.edges.gateway.snapshot import Arm, Model
from mainspring.edges.gateway.work import Answers, Asked, Part, Ran, since_us
from mainspring.kernel.errors import Unavailable
from mainspring.log.records import Role
from mainspring.serving.draw import Drawn
from mainspring.serving.reserve import challenger_us

if TYPE_CHECKING:
    from mainspring.edges.gateway.app import Gateway


def stable_here(asked: Asked, drawn: Sequence[Drawn]) -> Arm | None:
    """Return the version that answers every row, if it is one and its graph is in this process."""
    model = asked.model
    arm = asked.pinned or model.champion
    if type(arm.engine) is not Local:
        return None
    if model.challengers and asked.pinned is None and not model.challengers.keys().isdisjoint(arms_of(drawn)):
        return None
    return arm


def answered_here(gateway: Gateway, asked: Asked, arm: Arm, ran: Ran) -> Answers:
    answers, places = Answers(len(asked.rows)), range(len(asked.rows))
    _settle(gateway, asked, answers, Part(asked, arm, _role(asked), places, _release(asked)), ran)
    return answers


async def answer_by_all(gateway: Gateway, asked: Asked, drawn: Sequence[Drawn]) -> Answers:
    """Let both arms answer; whatever the challenger leaves open the stable version answers in its place."""
    answers = Answers(len(asked.rows))
    tried: dict[str, list[int]] = {}
    if asked.model.challengers and asked.pinned is None:
        for place, drawn_arm in enumerate(arms_of(drawn)):
            if drawn_arm in asked.model.challengers:
                tried.setdefault(drawn_arm, []).append(place)
    if not tried:
        await _stable(gateway, asked, answers, range(len(drawn)), _role(asked))
        return answers
    rest = [place for place, drawn_arm in enumerate(arms_of(drawn)) if drawn_arm not in tried]
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
    own_s = _own_s(asked.model, asked.deadline_ms)
    if _is_silent(arm, _own_s(asked.model, asked.model.route.deadline_ms)):
        ran = fault_of_all(LATE, len(places), 0)  # nobody waits for what does not come back: the stable one answers now
    else:
        ran = await run(arm, asked, places, own_s - since_us(asked.began_ns) / 1e6)
    asked.sets.append(spool_scored(asked.spool, Part(asked, arm, "served", places, release.id), ran))
    gateway.tripwires.challenger_answered(release, version, bool(ran.faults), next(iter(ran.faults.values()), ""))
    _take(answers, arm, places, ran)


def _own_s(model: Model, deadline_ms: int) -> float:
    return challenger_us(1_000 * deadline_ms, model.champion.engine.latency.p99_us) / 1e6


def _is_silent(arm: Arm, patience_s: float) -> bool:
    """Tell whether a version's process has let all that it was asked wait for longer than any answer may take."""
    return isinstance(arm.engine, Remote) and arm.engine.process.silent_s > patience_s


async def _stable(gateway: Gateway, asked: Asked, answers: Answers, places: Sequence[int], role: Role) -> None:
    arm = asked.pinned or asked.model.champion
    ran = await run(arm, asked, places, asked.remaining_s())
    _settle(gateway, asked, answers, Part(asked, arm, role, places, _release(asked)), ran)


def _settle(gateway: Gateway, asked: Asked, answers: Answers, part: Part, ran: Ran) -> None:
    """Spool, count and take what the stable version answered; it is the last who is asked."""
    asked.sets.append(spool_scored(asked.spool, part, ran))
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
        return too_busy(1.0)
    if fault == AWAY:
        return Unavailable("its process is away", field="model", value=name, remedy="try again in a second")
    return ModelFailed("could not answer this request", field="model", value=name, remedy="look at its log")


def too_busy(wait_s: float) -> TooMany:
    return TooMany("has more requests than it can answer in time", field="model", remedy="ask less", wait_s=wait_s)
