"""Three times the load that a model can take: what is answered stays what it was, and the rest is told so at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from mainspring.kernel.schema import Column
from mainspring.testing.models import model_route, routing, rule_version
from mainspring.testing.traffic import Traffic

DISTANCE = (Column("distance", "float"),)
WORK_S = 0.1
# One row at a time, however many wait: a model whose work is a fixed time a row.
SERIAL = f"""
import time

def answer(frame, params):
    time.sleep({WORK_S} * len(frame))
    return [0.5] * len(frame)
"""


def test_what_cannot_be_done_in_time_is_refused_and_what_is_begun_is_answered(
    site: Any, metric: Any, body: bytes
) -> None:
    champion = rule_version(site.blobs, "ver_1", 1, SERIAL, DISTANCE)
    site.publish(routing(1, model_route(champion, deadline_ms=1_500), [champion]))
    site.models()
    site.gateway()
    site.ready()
    peak, _ = asyncio.run(ask(site.port, body, connections=4, seconds=3.0))
    over, retry = asyncio.run(ask(site.port, body, connections=60, seconds=5.0))
    assert peak[200] >= 5
    assert over[429] > 0
    assert retry
    assert over[200] / 5.0 >= 0.8 * peak[200] / 3.0
    assert over[504] <= over[200]  # few begin what comes too late
    assert metric(site, "mainspring_model_requests") <= 60
    site.wait(lambda: metric(site, "mainspring_model_requests") == 0)
    assert site.ask("/ready")[0] == 200


async def ask(port: int, body: bytes, connections: int, seconds: float) -> tuple[Counter[int], bool]:
    """Ask on every connection, again after a refusal's pause, and count the answers by status."""
    counted: Counter[int] = Counter()
    told: list[bool] = []
    loop = asyncio.get_running_loop()
    until_s = loop.time() + seconds

    async def caller() -> None:
        async with Traffic("127.0.0.1", port, connections=1) as traffic:
            while loop.time() < until_s:
                status = 0

                def note(index: int, answered: int, said: bytes) -> None:
                    nonlocal status
                    status = answered
                    told.append(b"too_many" in said) if answered == 429 else None

                await traffic.post("/predict/late", [body], on_answer=note)
                counted[status] += 1
                if status == 429:
                    await asyncio.sleep(0.1)

    await asyncio.gather(*(caller() for _ in range(connections)))
    return counted, all(told)
