"""One version's work on some rows, and what is logged of it; whatever goes wrong is a fault, never an exception."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring.adapters.runtimes.process import Busy
from mainspring.edges.gateway.engines import Local
from mainspring.edges.gateway.snapshot import Arm
from mainspring.edges.gateway.work import Asked, Part, Ran, since_us, size_scored
from mainspring.kernel.errors import Unavailable
from mainspring.log.ports import Spool
from mainspring.log.records import Record, Scored, ScoredRows, Status, vectors_of
from mainspring.serving.columnar import ColumnRows
from mainspring.serving.looked import LookedRows

LATE = "late"
INVALID = "invalid"
AWAY = "failed: its process is away"
BUSY = "failed: it has too many requests already"
_NO_FAULTS: dict[int, str] = {}


async def run(arm: Arm, asked: Asked, places: Sequence[int], budget_s: float) -> Ran:
    """Run a version on some rows of a request within a budget; whatever goes wrong is a fault, never an exception."""
    engine = arm.engine
    if isinstance(engine, Local):
        return run_here(arm, asked, places, budget_s)
    if budget_s <= 0:
        return fault_of_all(LATE, len(places), 0)
    began_ns = time.perf_counter_ns()
    try:
        inputs = [arm.row(asked.rows[place], asked.looked[place]) for place in places]
        answer = await asyncio.wait_for(engine.process.ask(inputs, budget_s), budget_s)
        return Ran(answer.values, answer.faults, since_us(began_ns))
    except TimeoutError:
        return fault_of_all(LATE, len(places), since_us(began_ns))
    except Busy:
        return fault_of_all(BUSY, len(places), since_us(began_ns))
    except Unavailable:
        return fault_of_all(AWAY, len(places), since_us(began_ns))
    except Exception as error:  # what cannot be sent cannot be asked; the caller's answer comes from elsewhere
        return _raised(error, len(places), began_ns)


def run_here(arm: Arm, asked: Asked, places: Sequence[int], budget_s: float) -> Ran:
    """Run a graph of this process on some rows of a request, on the thread of the event loop."""
    engine: Any = arm.engine
    if budget_s <= 0:
        return fault_of_all(LATE, len(places), 0)
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
    return Ran(values, faults, since_us(began_ns))


def run_together(arm: Arm, several: Sequence[Asked]) -> list[Ran]:
    """Run a graph of this process on a row of each request; where that fails, on each by itself."""
    engine = arm.engine
    one = range(1)
    if len(several) > 1 and isinstance(engine, Local) and all(asked.remaining_s() > 0 for asked in several):
        began_ns = time.perf_counter_ns()
        try:
            values = engine.runtime.few([arm.row(asked.rows[0], asked.looked[0]) for asked in several])
        except Exception:  # one of them may be at fault: each is told of its own
            values = []
        took_us = since_us(began_ns)
        if values and math.isfinite(sum(values)):
            return [Ran((value,), _NO_FAULTS, took_us) for value in values]
    return [run_here(arm, asked, one, asked.remaining_s()) for asked in several]


def _raised(error: Exception, count: int, began_ns: int) -> Ran:
    return fault_of_all(f"failed: {type(error).__name__}: {error}"[:200], count, since_us(began_ns))


def fault_of_all(fault: str, count: int, latency_us: int) -> Ran:
    """Return that none of so many rows was answered, and why."""
    return Ran((None,) * count, dict.fromkeys(range(count), fault), latency_us)


def spool_scored(spool: Spool, part: Part, ran: Ran) -> int:
    """Spool what a version answered, one record for all that went well and one a kind of fault; return their set."""
    meter = part.arm.engine.meters[part.role]
    if not ran.faults:
        meter.took.add(ran.latency_us)
    for fault in ran.faults.values():
        meter.failed(_status(fault), 1)
    size = size_scored(part)
    return spool.append_later(_Scores(part, ran).records, size.logged, held_bytes=size.held)


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
