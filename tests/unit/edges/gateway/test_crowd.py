"""Refusals of a crowd are said from memory, in the words of each protocol, and never another one's."""

from __future__ import annotations

import json

import pytest

from mainspring.edges.gateway.crowd import TOLD_A_S, Crowd
from mainspring.edges.gateway.limits import TooMany, problem
from mainspring.edges.gateway.protocols.problems import said_briefly, said_by_mlflow


def too_many(field: str = "gateway", wait_s: float = 1.0) -> TooMany:
    return TooMany("too many requests at once", field=field, remedy="try again in a second", wait_s=wait_s)


@pytest.fixture
def crowd() -> Crowd:
    made = Crowd()
    for _ in range(3 * TOLD_A_S):  # a second may end on the way
        made.said(problem, too_many())
    return made


def test_the_first_of_a_second_are_told_one_by_one() -> None:
    crowd = Crowd()
    assert crowd.said(problem, too_many()) is None


@pytest.mark.parametrize(("words", "key"), [(problem, "code"), (said_briefly, "error"), (said_by_mlflow, "error_code")])
@pytest.mark.parametrize(("wait_s", "after"), [(0.2, "1"), (1.0, "1"), (2.4, "3"), (500.0, "60")])
def test_what_is_remembered_is_what_would_have_been_said(
    crowd: Crowd, words: object, key: str, wait_s: float, after: str
) -> None:
    error = too_many(wait_s=wait_s)
    for _ in range(2 * TOLD_A_S):
        said = crowd.said(words, error)  # type: ignore[arg-type]
        if said is not None:
            break
    assert said is not None
    status, headers, body = said
    assert (status, dict(headers)["retry-after"]) == (429, after)
    assert key in json.loads(body)
    assert (status, list(headers), body) == words(error)  # type: ignore[operator]


def test_a_model_that_is_too_busy_is_not_said_to_be_the_gateway(crowd: Crowd) -> None:
    said = None
    while said is None:
        said = crowd.said(problem, too_many("gateway"))
        other = crowd.said(problem, too_many("model"))
    assert other is not None
    assert json.loads(said[2])["field"] == "gateway"
    assert json.loads(other[2])["field"] == "model"


def test_what_is_remembered_is_bounded(crowd: Crowd) -> None:
    for number in range(1_000):
        crowd.said(problem, too_many(f"field {number}"))
    assert len(crowd._said) <= 64
