"""The queue for the worker itself, on a real event loop with work that really takes its time."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from mainspring.edges.gateway.turns import Turns

WORK_S = 0.001


async def work(turns: Turns, number: int, done: list[int]) -> None:
    turn = turns.take()
    if turn is not None:
        await turn
    until_s = time.perf_counter() + WORK_S
    while time.perf_counter() < until_s:
        pass
    done.append(number)


def test_the_first_come_are_the_first_done_and_a_turn_takes_a_few() -> None:
    turns, done = Turns(1_000, 60.0), []
    seen: list[int] = []

    async def look() -> None:
        while len(done) < 200:
            seen.append(len(done))
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(look(), *(work(turns, number, done) for number in range(200)))

    asyncio.run(run())
    assert done == list(range(200))
    # Whoever looks between, as a refusal would, waits for a few of them and not for all.
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= 50
    assert len(seen) >= 10
    assert turns.waiting == 0


def test_one_that_comes_to_an_idle_worker_waits_for_nobody() -> None:
    turns, done = Turns(1_000, 60.0), []

    async def run() -> None:
        for number in range(3):
            assert turns.take() is None
            done.append(number)
            await asyncio.sleep(0.01)

    asyncio.run(run())
    assert done == [0, 1, 2]


def test_it_is_full_when_too_many_wait_or_the_last_would_wait_too_long() -> None:
    many, late = Turns(5, 60.0), Turns(1_000, 0.001)

    async def fill(turns: Turns) -> int:
        for number in range(500):
            if turns.full:
                return number
            future = turns.take()
            if future is None:
                time.sleep(WORK_S)
        return 500

    async def run() -> tuple[int, int, float]:
        return await fill(many), await fill(late), late.wait_s

    by_count, by_time, wait_s = asyncio.run(run())
    assert 5 < by_count <= 15
    assert by_time < 100
    assert wait_s > 0.001


def test_a_caller_that_is_gone_costs_the_next_one_no_turn() -> None:
    turns = Turns(1_000, 60.0)

    async def run() -> bool:
        while turns.take() is None:
            time.sleep(WORK_S)
        first, second = turns.take(), turns.take()
        assert first is not None
        assert second is not None
        first.cancel()
        await asyncio.wait_for(second, 10)
        return second.done()

    assert asyncio.run(run())
