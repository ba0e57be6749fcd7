import msgspec
import polars as pl
import pytest

from mainspring.log.repeats import WINDOW_US, repeated
from mainspring.testing.logs import assignment, request, scored

FIRST = {
    "prediction_id": "b_1-1",
    "row": 0,
    "model": "mod_1",
    "entity": "e1",
    "receipt_us": 100,
    "caller": "shop",
    "idempotency_key": "k",
}


@pytest.mark.parametrize(
    ("changed", "repeats"),
    [
        ({}, True),
        ({"idempotency_key": ""}, False),
        ({"idempotency_key": "other"}, False),
        ({"model": "mod_2"}, False),
        ({"caller": "desk"}, False),
        ({"entity": "e2"}, False),
        ({"row": 1}, False),
        ({"receipt_us": 100 + WINDOW_US}, True),
        ({"receipt_us": 101 + WINDOW_US}, False),
    ],
)
def test_a_row_repeats_another_of_its_model_caller_key_place_and_entity_within_a_day(changed, repeats):
    again = {**FIRST, "prediction_id": "b_2-1", "receipt_us": 200, **changed}
    found = repeated(pl.DataFrame([FIRST, again]))["prediction_id"].to_list()
    assert found == (["b_2-1"] if repeats else [])


HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("hours", "counted"),
    [
        ([0, 20, 30], [0, 30]),
        ([0, 20, 24, 44, 48, 50], [0, 44]),
        ([0, 12, 24, 36, 48, 60, 72, 84], [0, 36, 72]),
    ],
)
def test_a_key_that_is_used_for_ever_counts_once_a_day_and_not_once_for_ever(hours, counted):
    rows = [{**FIRST, "prediction_id": f"b_1-{hour}", "receipt_us": hour * HOUR_US} for hour in hours]
    found = set(repeated(pl.DataFrame(rows))["prediction_id"])
    assert [hour for hour in hours if f"b_1-{hour}" not in found] == counted


@pytest.mark.parametrize(
    ("id", "row", "body", "repeats"),
    [
        ("b_2-1", 0, '{"a":1}', True),
        ("b_2-1", 0, '{"a":2}', False),
        ("b_2-1", 1, '{"a":1}', False),
    ],
)
def test_where_there_is_no_entity_the_row_itself_tells_that_it_was_asked_again(id, row, body, repeats):
    first = {**FIRST, "entity": "b_1-1", "body": '{"a":1}'}
    again = {**first, "prediction_id": id, "entity": f"{id}.{row}" if row else id, "row": row, "body": body}
    found = repeated(pl.DataFrame([first, {**again, "receipt_us": 200}]))["prediction_id"].to_list()
    assert found == (["b_2-1"] if repeats else [])


def test_the_log_counts_an_attempt_of_a_model_without_an_entity_once(bench):
    for number, body in ((1, b'{"a":1}'), (2, b'{"a":1}'), (3, b'{"a":3}')):
        own = (f"b_1-{number:x}",)
        asked = msgspec.structs.replace(request(number), entities=own, units=own, body=body, idempotency_key="k")
        bench.write(asked)
        bench.ingest.run()
    assert bench.log.requests("mod_1")["prediction_id"].to_list() == ["b_1-1", "b_1-3"]


def test_the_same_attempts_count_whatever_span_is_looked_at(bench):
    for hour in (0, 20, 30, 50, 60, 80):
        us = 1 + hour * HOUR_US
        asked = msgspec.structs.replace(request(hour + 1, "e1", us), receipt_us=us, idempotency_key="k")
        bench.write(asked)
        bench.ingest.run()
    asked = [(int(id.removeprefix("b_1-"), 16) - 1) for id in bench.log.requests("mod_1")["prediction_id"]]
    assert asked == [0, 30, 60]
    for since in range(0, 90, 5):
        for until in range(since + 5, 95, 15):
            found = bench.log.requests("mod_1", since * HOUR_US, until * HOUR_US)["prediction_id"]
            hours = [int(id.removeprefix("b_1-"), 16) - 1 for id in found]
            assert hours == [hour for hour in (0, 30, 60) if since <= hour < until], (since, until)


def test_an_attempt_that_states_an_older_time_is_told_all_the_same(bench):
    first = msgspec.structs.replace(request(1, "e1", 1), receipt_us=20 * HOUR_US, idempotency_key="k")
    again = msgspec.structs.replace(request(2, "e1", 42 * HOUR_US), receipt_us=42 * HOUR_US, idempotency_key="k")
    backdated = msgspec.structs.replace(request(3, "e1", 21 * HOUR_US), receipt_us=43 * HOUR_US, idempotency_key="k")
    for one in (first, again, backdated):
        bench.write(one)
        bench.ingest.run()
    assert bench.log.requests("mod_1")["prediction_id"].to_list() == ["b_1-1"]
    assert bench.log.requests("mod_1", 41 * HOUR_US).is_empty()
    assert bench.log.requests("mod_1", 21 * HOUR_US, 22 * HOUR_US).is_empty()


def test_without_keys_nothing_repeats():
    rows = [{**FIRST, "idempotency_key": ""}, {**FIRST, "prediction_id": "b_1-2", "idempotency_key": ""}]
    assert repeated(pl.DataFrame(rows)).is_empty()


def test_what_was_asked_again_is_in_the_log_once_and_found_by_its_own_id_all_the_same(bench):
    for number in (1, 2, 3):
        key = "once" if number < 3 else ""
        bench.write(
            msgspec.structs.replace(request(number, "e1"), idempotency_key=key), assignment(number), scored(number)
        )
        bench.ingest.run()
    log = bench.log
    for rows in (log.requests("mod_1"), log.assignments("mod_1"), log.scored("mod_1"), log.labelled("mod_1")):
        assert rows["prediction_id"].to_list() == ["b_1-1", "b_1-3"]
    assert log.scored("mod_1", since_us=15)["prediction_id"].to_list() == ["b_1-3"], "the first one was before"
    assert log.prediction("b_1-2")["scored"][0]["output"] == 0.5
    assert log.counts("mod_1")["predictions"] == 3, "each of them was answered"
