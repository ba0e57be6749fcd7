from __future__ import annotations

from typing import Any

import pytest

from mainspring.adapters.runtimes.frames import Ask
from mainspring.adapters.runtimes.waiting import MOST_WAITING_ROWS, Waiting
from mainspring.kernel.errors import InvalidInput
from mainspring.registry.model import Batching


def ask(number: int, rows: int = 1, until_s: float = 9.0, *, shadow: bool = False) -> Ask:
    return Ask(number, ((1.0,),) * rows, int(until_s * 1e6), shadow)


def waiting(*asks: Ask, at_s: float = 0.0, **options: Any) -> Waiting[str]:
    made = Waiting[str](Batching(**options))
    for one in asks:
        assert made.put(one, "gateway", at_s)
    return made


def taken(made: Waiting[str]) -> list[int]:
    return [waiter.ask.number for waiter in made.take()]


def test_a_row_that_finds_the_process_idle_does_not_wait() -> None:
    assert waiting(max_wait_ms=50).wait_s(0.0) is None
    assert waiting(ask(1), max_wait_ms=50).wait_s(0.0) == 0.0


def test_while_rows_keep_coming_it_waits_for_as_many_as_came_last_and_no_longer_than_it_may() -> None:
    made = waiting(max_wait_ms=50)
    made.ended(3, now_s=1.0)
    made.put(ask(1), "gateway", 1.01)
    assert made.wait_s(1.02) == pytest.approx(0.04)
    made.put(ask(2), "gateway", 1.02)
    assert made.wait_s(1.03) == pytest.approx(0.03)
    made.put(ask(3), "gateway", 1.03)
    assert made.wait_s(1.03) == 0.0
    assert taken(made) == [1, 2, 3]


def test_it_does_not_wait_beyond_the_time_or_the_deadline_of_the_oldest_row() -> None:
    made = waiting(max_wait_ms=50)
    made.ended(10, now_s=1.0)
    made.put(ask(1, until_s=1.02), "gateway", 1.0)
    assert made.wait_s(1.0) == pytest.approx(0.02)
    assert made.wait_s(1.05) == 0.0


def test_without_a_wait_what_is_there_is_taken_at_once() -> None:
    made = waiting()
    made.ended(100, now_s=1.0)
    made.put(ask(1), "gateway", 1.0)
    assert made.wait_s(1.0) == 0.0


def test_a_batch_holds_no_more_rows_than_it_may_and_asks_stay_whole() -> None:
    made = waiting(ask(1, 3), ask(2, 3), ask(3, 9), max_rows=7)
    assert [taken(made), taken(made)] == [[1, 2], [3]]


def test_callers_go_before_shadows() -> None:
    made = waiting(ask(1, shadow=True), ask(2), ask(3, shadow=True), ask(4))
    assert [taken(made), taken(made)] == [[2, 4], [1, 3]]


def test_more_rows_than_may_wait_are_refused_until_some_were_taken() -> None:
    made = waiting(ask(1, MOST_WAITING_ROWS))
    assert not made.put(ask(2), "gateway", 0.0)
    assert taken(made) == [1]
    assert made.put(ask(3), "gateway", 0.0)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"max_rows": 0}, "max_rows"), ({"max_wait_ms": -1}, "max_wait_ms"), ({"max_wait_ms": 5e3}, "max_wait_ms")],
)
def test_a_batching_out_of_bounds_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as told:
        Batching(**options)
    assert told.value.field == field


def test_where_batches_take_long_a_batch_holds_fewer_and_more_again_once_they_do_not() -> None:
    made = waiting(*(ask(number) for number in range(1, 41)), max_rows=256)
    assert len(taken(made)) == 40
    made.ended(40, now_s=4.0, spent_s=4.0, most_s=0.25)
    for number in range(50, 70):
        made.put(ask(number), "gateway", 4.0)
    assert taken(made) == [50, 51]
    made.ended(2, now_s=4.2, spent_s=0.2, most_s=0.25)
    assert taken(made) == [52, 53, 54, 55]
    made.ended(4, now_s=4.6, spent_s=0.4, most_s=0.25)
    assert taken(made) == [56, 57]
