"""The queue for the worker itself, on a real event loop with work that really takes its time."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from mainspring.edges.gateway.turns import Turns

WORK_S = 0.001


def ask(turns: Turns, number: int, done: list[int]) -> None:
    def work() -> bool:
        until_s = time.perf_counter() + WORK_S
        while time.perf_counter() < until_s:
            pass
        done.append(number)
        return True

    if turns.begins():
        work()
    else:
        turns.queue(work)


def test_the_first_come_are_the_first_done_and_a_turn_takes_a_few() -> None:
    turns, done = Turns(1_000, 60.0), []
    seen: list[int] = []

    async def look() -> None:
        while len(done) < 200:
            seen.append(len(done))
            await asyncio.sleep(0)

    async def run() -> None:
        for number in range(200):
            ask(turns, number, done)
        await look()

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
            ask(turns, number, done)
            assert done[-1] == number
            await asyncio.sleep(0.01)

    asyncio.run(run())
    assert done == [0, 1, 2]


def test_it_is_full_when_too_many_wait_or_the_last_would_wait_too_long() -> None:
    many, late = Turns(5, 60.0), Turns(1_000, 0.001)

    async def fill(turns: Turns) -> int:
        for number in range(500):
            if turns.full:
                return number
            ask(turns, number, [])
        return 500

    async def run() -> tuple[int, int, float]:
        return await fill(many), await fill(late), late.wait_s

    by_count, by_time, wait_s = asyncio.run(run())
    assert 5 < by_count <= 15
    assert by_time < 100
    assert wait_s > 0.001


def test_work_that_is_done_after_it_was_begun_counts_for_the_turn_that_began_it() -> None:
    """As rows that are scored together are: each is begun in no time, and all of them take theirs at the end."""
    turns = Turns(1_000, 60.0)
    begun: list[int] = []
    turns_of: list[int] = []

    def score() -> None:
        count = len(begun)
        begun.clear()
        turns_of.append(count)
        until_ns = time.perf_counter_ns() + count * int(WORK_S * 1e9)
        began_ns = time.perf_counter_ns()
        while time.perf_counter_ns() < until_ns:
            pass
        turns.worked(time.perf_counter_ns() - began_ns)

    def begin() -> bool:
        if not begun:
            asyncio.get_running_loop().call_soon(score)
        begun.append(1)
        return True

    async def run() -> None:
        assert turns.begins()
        for _ in range(400):
            turns.queue(begin)
        while sum(turns_of) < 400:
            await asyncio.sleep(0)

    asyncio.run(run())
    assert max(turns_of[20:]) <= 5  # once it knows what one costs, no turn takes forty of them


def test_those_that_come_too_late_teach_nothing_of_what_the_others_cost() -> None:
    turns, done = Turns(1_000, 60.0), []

    async def run() -> tuple[float, float]:
        for number in range(60):
            ask(turns, number, done)
        while turns.waiting:
            await asyncio.sleep(0)
        learned_ns = turns.cost_ns
        for _ in range(500):
            turns.queue(lambda: False)
        while turns.waiting:
            await asyncio.sleep(0)
        return learned_ns, turns.cost_ns

    before_ns, after_ns = asyncio.run(run())
    assert after_ns > 0.5 * before_ns


def test_one_that_was_held_up_does_not_make_the_queue_seem_hopeless() -> None:
    turns = Turns(1_000, 60.0)
    for _ in range(50):
        turns._learn(1e6)
    assert turns.cost_ns == pytest.approx(1e6, rel=0.01)
    turns._learn(1e9)
    assert turns.cost_ns < 2e6
    for _ in range(20):
        turns._learn(1e8)
    assert turns.cost_ns > 5e7, "what stays so is believed"


def test_work_that_raises_does_not_leave_the_others_waiting() -> None:
    turns, done = Turns(1_000, 60.0), []
    said: list[str] = []

    def fail() -> bool:
        raise RuntimeError("it failed")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: said.append(str(told["exception"])))
        until_s = time.perf_counter() + 0.004
        turns.begins()
        while time.perf_counter() < until_s:  # this turn is full
            pass
        turns.queue(fail)
        ask(turns, 1, done)
        ask(turns, 2, done)
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert (done, said) == ([1, 2], ["it failed"])
