"""What looks wrong and is not: it is taken, and changes what it says it changes."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_an_outcome_of_an_entity_that_nobody_asked_about_is_parked(running: Any) -> None:
    before = running.state()["log"]
    status, said = running.gateway("POST", "/outcomes/slow", b'{"trip": "nobody asked", "value": true}')
    assert (status, said) == (202, {"accepted": 1})
    after = running.state()["log"]
    assert (after["outcomes"], after["parked"]) == (before["outcomes"] + 1, before["parked"] + 1)
    assert after["predictions"] == before["predictions"]


@pytest.mark.parametrize("number", ["-0", "5e-324", "1E2", "123456789012345678901234567890", "1e308"])
def test_a_strange_number_that_is_one_gets_an_answer(running: Any, number: str) -> None:
    body = f'{{"trip": "t: \\"1\\"", "place": "ü", "price": {number}}}'.encode()
    status, said = running.gateway("POST", "/predict/slow", body)
    assert status == 200
    assert 0.0 <= said["value"] <= 1.0


@pytest.mark.parametrize("text", ["", "\0", "x" * 100_000, '{"a": 1, "a": 2}', "😀" * 300])
def test_a_strange_text_gets_an_answer_and_is_found_in_the_log(running: Any, text: str) -> None:
    asked = {"trip": text, "place": text, "price": 1.5}
    status, said = running.gateway("POST", "/predict/slow", json.dumps(asked).encode())
    assert status == 200
    running.state()
    status, found = running.control("GET", f"/api/prediction?id={said['id']}")
    assert status == 200
    assert json.dumps(text)[1:-1] in json.dumps(found) or text in json.dumps(found, ensure_ascii=False)
