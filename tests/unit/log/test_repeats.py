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
